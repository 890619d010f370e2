
(() => {
  const STATES = { "up to date": "good", "changed by hand": "bad", lost: "bad" };
  const ROWS = { 6: [2, 3], 12: [3, 4], 20: [4, 5], 30: [5, 6], 48: [6, 8] };
  const main = byId("images");
  const dialog = byId("detail");
  const pick = { search: byId("search"), state: byId("state"), tag: byId("tag"), group: byId("group"), view: byId("view") };
  let data = { project: "", images: [], thumbs: {} };
  let cards = [];
  let shown = [];
  let open = null;
  let named = "";
  /* What a page has beside: card(image), stage(image), tools(image) and note(image) give elements, or nothing. */
  const more = {};

  const state = (name) => el("span", { class: `state ${STATES[name] ?? "work"}` }, name);

  const picture = (digest, alt, none) => {
    const source = data.thumbs[digest];
    if (!source) return el("span", { class: "none" }, none);
    return crisp(el("img", { src: source, alt: alt ?? "", decoding: "async", draggable: "false" }));
  };

  const makeCard = (image, index) => {
    const output = image.outputs[0];
    const size = output?.width ? `${output.width}×${output.height}` : "";
    const picked = image.takes.find((take) => take.picked);
    const takes = image.takes.length > 1 && picked ? `take ${picked.number} of ${image.takes.length}` : "";
    const button = el(
      "button", { type: "button", class: "card moves", "data-id": image.id, onclick: () => show(index) },
      el("span", { class: "frame" }, picture(image.thumb, image.alt, image.state === "to generate" ? "not generated yet" : "no picture")),
      more.card?.(image),
      el("span", { class: "label" }, text(image.id), el("span", { class: "facts" }, state(image.state), el("span", {}, size), el("span", {}, takes))),
    );
    const words = [image.id, image.prompt, image.negative_prompt, image.alt, ...image.tags, image.provider, ...Object.values(image.spec), ...image.outputs.map((one) => one.path)];
    return { image, index, button, words: words.filter(Boolean).join("\n").toLowerCase() };
  };

  const GROUPS = {
    name: ["name", (image) => [image.name]],
    tag: ["tag", (image) => (image.tags.length ? image.tags : ["no tag"])],
    state: ["state", (image) => [image.state]],
    provider: ["provider and model", (image) => [image.spec.model ? `${image.provider}, ${image.spec.model}` : image.provider]],
    none: ["nothing", () => [""]],
  };
  const groupsOf = (kind) => {
    if (kind.startsWith("axis:")) { const axis = kind.slice(5); return (image) => [image.axes[axis] ?? `no ${axis}`]; }
    return (GROUPS[kind] ?? GROUPS.name)[1];
  };

  const options = (select, entries, keep) => {
    select.replaceChildren(...entries.map(([value, label]) => el("option", { value }, label)));
    select.value = entries.some(([value]) => value === keep) ? keep : entries[0][0];
  };
  const tally = (values) => {
    const found = new Map();
    for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
    return [...found].sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  };

  const setup = () => {
    document.title = `${data.project}: gallery`;
    byId("project").replaceChildren(text(data.project), data.profile ? el("span", { class: "quiet" }, ` (${data.profile})`) : "");
    const states = tally(data.images.map((image) => image.state));
    byId("sum").textContent = [count(data.images.length, "image", "images"), ...states.map(([name, number]) => `${number.toLocaleString("en")} ${name}`)].join(" · ");
    options(pick.state, [["", "all"], ...states.map(([name, number]) => [name, `${name} (${number})`])], pick.state.value);
    const tags = tally(data.images.flatMap((image) => image.tags));
    options(pick.tag, [["", "all"], ...tags.map(([name, number]) => [name, `${name} (${number})`])], pick.tag.value);
    byId("tagged").hidden = tags.length === 0;
    const axes = [...new Set(data.images.flatMap((image) => Object.keys(image.axes)))].sort();
    const kinds = Object.entries(GROUPS).filter(([kind]) => kind !== "tag" || tags.length).map(([kind, [label]]) => [kind, label]);
    const names = new Set(data.images.map((image) => image.name)).size;
    const few = names > 40 || names === data.images.length ? "none" : "name";
    options(pick.group, [...kinds, ...axes.map((axis) => [`axis:${axis}`, `axis: ${axis}`])], pick.group.value || (tags.length ? "tag" : few));
    cards = data.images.map(makeCard);
  };

  const matching = () => {
    const wanted = pick.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return cards.filter(({ image, words }) =>
      (!pick.state.value || image.state === pick.state.value) &&
      (!pick.tag.value || image.tags.includes(pick.tag.value)) &&
      wanted.every((word) => words.includes(word)));
  };

  const grouped = (found) => {
    const groups = new Map();
    const of = groupsOf(pick.group.value);
    for (const card of found) {
      for (const name of of(card.image)) {
        if (!groups.has(name)) groups.set(name, []);
        groups.get(name).push(card);
      }
    }
    return [...groups];
  };

  /* A card stands once on the page; of several groups the others have a copy of it. */
  const placed = (card, used) => {
    if (!used.has(card)) { used.add(card); return el("li", {}, card.button); }
    const copy = card.button.cloneNode(true);
    copy.addEventListener("click", () => show(card.index));
    return el("li", {}, copy);
  };

  const update = () => {
    const found = matching();
    const used = new Set();
    const sheets = pick.view.value !== "grid";
    shown = found.map((card) => card.index);
    main.className = sheets ? "sheets" : "";
    byId("sized").hidden = sheets;
    main.replaceChildren(...(sheets ? sheetsOf(found, used) : sectionsOf(found, used)));
    if (!found.length) main.replaceChildren(el("p", { class: "empty" }, data.images.length ? "No image matches." : data.awaited ? "Looking at the project …" : "The manifest declares no images."));
    byId("found").textContent = `${count(found.length, "image", "images")} shown`;
  };

  /* Frames of a group have the shape of most of its pictures, within reason. */
  const ratioOf = (image) => {
    const [width, height] = image.outputs[0]?.width ? [image.outputs[0].width, image.outputs[0].height] : (image.spec.size ?? "").split("x");
    return width / height;
  };
  const shapeOf = (of) => {
    const shapes = of.map(({ image }) => ratioOf(image)).filter((ratio) => ratio > 0).sort((a, b) => a - b);
    return Math.min(Math.max(shapes[shapes.length >> 1] ?? 1, 0.75), 1.91);
  };

  const sectionsOf = (found, used) => grouped(found).map(([name, of]) => {
    const list = el("ul", { class: "grid" }, of.map((card) => placed(card, used)));
    list.style.setProperty("--aspect", shapeOf(of));
    return el("section", { class: "group" },
      el("h2", { class: name ? null : "unseen" }, text(name || "All images"), el("span", {}, count(of.length, "image", "images"))), list);
  });

  const sheetsOf = (found, used) => {
    const most = Number(pick.view.value);
    const [columns, rows] = ROWS[most];
    const pages = grouped(found).flatMap(([name, of]) => {
      const parts = [];
      for (let at = 0; at < of.length; at += most) parts.push([name, of.slice(at, at + most)]);
      return parts;
    });
    return pages.map(([name, of], page) => {
      const list = el("ol", {}, of.map((card) => placed(card, used)));
      const heading = [data.project, name].filter(Boolean).join(" · ");
      const sheet = el("section", { class: "sheet", "aria-label": `Page ${page + 1}` },
        el("header", {}, el("b", { dir: "auto" }, heading), el("span", {}, `${page + 1} / ${pages.length}`)), list);
      sheet.style.setProperty("--columns", columns);
      sheet.style.setProperty("--rows", rows);
      return sheet;
    });
  };

  const pairs = (entries) => el("dl", { class: "pairs" }, entries.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, text(value))]));
  const part = (title, ...children) => [el("h3", {}, title), ...children];
  const quoted = (id) => (/^[\w./-]+$/.test(id) ? id : `'${id.replaceAll("'", "'\\''")}'`);

  const fileOf = (output) => {
    const facts = [output.width ? `${output.width}×${output.height}` : "", output.bytes ? kilo(output.bytes) : ""].filter(Boolean).join(", ");
    const name = output.href ? el("a", { href: output.href, target: "_blank", rel: "noopener" }, text(output.path)) : text(output.path);
    return el("li", {}, el("div", {}, name), el("div", { class: "facts" }, state(output.state), el("span", {}, facts)));
  };

  const takeOf = (image, take) => {
    const usage = Object.entries(take.usage).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
    return el("li", { class: take.picked ? "picked" : null },
      el("div", { class: "thumb" }, picture(take.thumb, `Take ${take.number}`, "bytes lost")),
      el("div", { class: "label" },
        el("div", { class: "facts" }, el("b", {}, `Take ${take.number}`), take.picked ? el("span", { class: "mark" }, "picked") : "", take.adopted ? el("span", {}, "adopted") : ""),
        el("div", { class: "quiet" }, `${take.width}×${take.height}, ${when(take.created)}`),
        el("div", { class: "quiet" }, text([take.provider, take.model].filter(Boolean).join(", "))),
        take.cost === null ? "" : el("div", {}, money(take.cost, take.unit)),
        usage ? el("div", { class: "quiet" }, text(usage)) : "",
        take.picked || take.lost ? "" : el("div", {}, el("code", {}, `imgbuild pick ${quoted(image.id)} ${take.number}`))));
  };

  const stageOf = (image) => {
    const own = more.stage?.(image);
    if (own) return own;
    const thumb = picture(image.thumb, image.alt ?? image.id, image.state === "to generate" ? "not generated yet" : "no picture");
    const whole = image.outputs.find((output) => output.href && output.shown);
    if (!whole) return thumb;
    const img = crisp(el("img", { src: whole.href, alt: image.alt ?? image.id, decoding: "async" }));
    img.addEventListener("error", () => img.replaceWith(thumb), { once: true });
    return img;
  };

  const show = (index) => {
    const image = data.images[index];
    const same = dialog.open && open !== null && byId("detail-id")?.textContent === image.id;
    const [had, scrolled] = same ? [document.activeElement, dialog.querySelector(".told").scrollTop] : [];
    const [key, caret] = [had?.dataset.key, had?.selectionStart];
    open = index;
    const at = shown.indexOf(index);
    const step = (by, label, sign) => el("button", { type: "button", class: "tool", "aria-label": label, disabled: shown[at + by] === undefined, onclick: () => go(by) }, sign);
    const spec = Object.entries({ ...image.spec, provider: image.provider });
    dialog.replaceChildren(el("div", { class: "inner" },
      el("div", { class: "stage checker" }, stageOf(image)),
      el("div", { class: "told", tabindex: "0", role: "group", "aria-label": "About the image" },
        el("header", {},
          el("h2", { id: "detail-id" }, text(image.id)),
          el("div", { class: "nav" }, step(-1, "Previous image", "←"), step(1, "Next image", "→"),
            el("button", { type: "button", class: "tool", "aria-label": "Close", onclick: () => dialog.close() }, "✕"))),
        el("p", {}, state(image.state), image.note ? el("span", { class: "quiet" }, ` ${image.note}`) : ""),
        more.tools?.(image) ?? [],
        part("Prompt", el("p", { class: "prose" }, text(image.prompt))),
        image.negative_prompt ? part("Not wanted", el("p", { class: "prose" }, text(image.negative_prompt))) : [],
        image.alt ? part("Alternative text", el("p", { class: "prose" }, text(image.alt))) : [],
        part("Specification", pairs(spec), image.geometry ? el("p", { class: "quiet" }, image.geometry) : ""),
        part(count(image.outputs.length, "file", "files"), el("ul", { class: "files" }, image.outputs.map(fileOf))),
        image.takes.length && !more.tools ? part(count(image.takes.length, "take", "takes"), el("ul", { class: "takes" }, image.takes.map((take) => takeOf(image, take)))) : [],
        image.tags.length ? part("Tags", el("ul", { class: "tags" }, image.tags.map((tag) => el("li", {}, text(tag))))) : [],
        more.note?.(image) ?? (data.notes?.[image.id] ? part("Note", el("p", { class: "prose" }, text(data.notes[image.id]))) : []))));
    if (!dialog.open) dialog.showModal();
    if (same) dialog.querySelector(".told").scrollTop = scrolled;
    const again = key && dialog.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (again) again.focus({ preventScroll: true });
    if (again && typeof caret === "number") again.setSelectionRange(caret, caret);
    address(image.id);
  };
  const go = (by) => { const next = shown[shown.indexOf(open) + by]; if (next !== undefined) show(next); };
  const address = (id) => { try { history.replaceState(null, "", id ? `#${encodeURIComponent(id)}` : location.pathname + location.search); } catch { /* some places of local files */ } };

  /* Up and down go to the nearest card of the next row, also across groups. */
  const neighbour = (buttons, from, key) => {
    if (key === "ArrowLeft" || key === "ArrowRight") return buttons[from + (key === "ArrowLeft" ? -1 : 1)];
    const step = key === "ArrowUp" ? -1 : 1;
    const here = buttons[from].getBoundingClientRect();
    let best, row;
    for (let at = from + step; at >= 0 && at < buttons.length; at += step) {
      const there = buttons[at].getBoundingClientRect();
      if (Math.abs(there.top - here.top) < 4) continue;
      row ??= there.top;
      if (Math.abs(there.top - row) > 4) break;
      const far = Math.abs(there.left - here.left);
      if (!best || far < best[0]) best = [far, buttons[at]];
    }
    return best?.[1];
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (dialog.open) {
      if (!typing && (event.key === "ArrowLeft" || event.key === "ArrowRight")) { event.preventDefault(); go(event.key === "ArrowLeft" ? -1 : 1); }
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      pick.search.select();
      pick.search.focus();
    } else if (event.key === "Escape" && event.target === pick.search) {
      pick.search.value = "";
      update();
      pick.search.blur();
    } else if (event.key.startsWith("Arrow") && (!typing || (event.target === pick.search && event.key === "ArrowDown"))) {
      const buttons = [...main.querySelectorAll(".card")];
      const from = buttons.indexOf(document.activeElement);
      const next = from < 0 ? buttons[0] : neighbour(buttons, from, event.key);
      if (next) { event.preventDefault(); next.focus(); next.scrollIntoView({ block: "nearest" }); }
    }
  });
  dialog.addEventListener("close", () => {
    const card = cards[open];
    open = null;
    address("");
    if (card?.button.isConnected) card.button.focus();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  let waiting = 0;
  pick.search.addEventListener("input", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(update); });
  for (const select of [pick.state, pick.tag, pick.group, pick.view]) select.addEventListener("change", update);
  byId("size").addEventListener("input", (event) => main.style.setProperty("--size", `${event.target.value}px`));
  byId("print").addEventListener("click", () => print());
  themed(byId("theme"));

  const showNamed = (id) => {
    const at = id ? data.images.findIndex((image) => image.id === id) : -1;
    if (at >= 0) show(at);
    else if (dialog.open) dialog.close();
  };
  /* The one way in: whoever has newer data gives it here. What was open, chosen and searched for stays so. */
  globalThis.gallery = {
    more,
    show: (next) => {
      const before = open === null ? null : JSON.stringify(data.images[open]);
      const id = open === null ? named : data.images[open].id;
      const focused = dialog.open ? null : cards.find((card) => card.button === document.activeElement)?.image.id;
      data = next;
      if (data.images.length) named = "";
      setup();
      update();
      const at = data.images.findIndex((image) => image.id === id);
      if (before !== null && JSON.stringify(data.images[at]) === before) open = at;
      else showNamed(id);
      if (focused) cards.find((card) => card.image.id === focused)?.button.focus();
    },
    /* Show the open image anew: what a page has beside has changed. */
    refresh: () => { if (open !== null) show(open); },
    /* The open image. */
    get open() { return open === null ? null : data.images[open]; },
    quoted,
    part,
    source: (digest) => data.thumbs[digest],
    note: (id) => data.notes?.[id] ?? "",
  };
  try { named = decodeURIComponent(location.hash.slice(1)); } catch { /* not an address that this page wrote */ }
  gallery.show(JSON.parse(byId("data").textContent));
})();
