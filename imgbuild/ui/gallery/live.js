(() => {
  const PHASES = {
    starting: ["work", "Starting …"], building: ["work", "Building …"], asking: ["work", "Waiting for your answer"],
    watching: ["good", "Watching for changes"], broken: ["bad", "Waiting until this is mended"], stopping: ["work", "Ending …"],
  };
  const JOBS = { waiting: "waiting", submitting: "generating", running: "generating", downloading: "downloading", deriving: "deriving", retrying: "retrying" };
  const MOST_JOBS = 6;
  let session = { phase: "starting", jobs: {}, acting: {}, failures: {}, problems: [], said: [], question: null, spent: 0, limit: null, unit: "USD", placeholder: false };
  let lost = "";
  const kept = new Map();
  /* What this page remembers of an image: what is compared, asked, typed and said. */
  const of = (image) => {
    if (!kept.has(image.id)) kept.set(image.id, { about: null, look: null, compare: null, count: 1, quote: null, said: null, draft: null, upload: null });
    return kept.get(image.id);
  };

  /* ---- asking the session */
  const ask = async (path, options) => {
    let answer;
    try { answer = await fetch(path, options); } catch { throw new Error("The session does not answer: it may have ended."); }
    const body = await answer.json().catch(() => null);
    if (answer.ok) return body;
    const problems = body?.problems?.map((one) => [one.place, one.message, one.hint].filter(Boolean).join("; "));
    throw new Error(problems?.join("\n") ?? `The session refused it (${answer.status}).`);
  };
  const act = (name, words) => ask(`actions/${name}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(words) });
  const say = (image, words, bad) => { of(image).said = words && { words, bad }; gallery.refresh(); };
  /* Does something for an image, and says on its page what came of it. */
  const carry = async (image, doing, done) => {
    say(image, null);
    try {
      const came = await doing();
      if (came.quote) { of(image).quote = came.quote; gallery.refresh(); return; }
      const failed = came.failures?.map((one) => one.message).join("\n");
      say(image, came.ok ? done : failed || "It did not succeed; the terminal says more.", !came.ok);
      of(image).clash = !came.ok && came.failures.some((one) => one.kind === "conflict");
    } catch (error) {
      say(image, error.message, true);
    }
    look(image);
  };

  const pick = (image, take) => carry(image, () => act("pick", { id: image.id, take: take.earlier ? take.handle : take.number }), `Take ${take.number} is picked: outputs and lock follow.`);
  const reroll = (image, count, agreed) => { of(image).quote = null; return carry(image, () => act("reroll", { id: image.id, count, agreed }), count === 1 ? "There is a new take, and it is picked." : `There are ${count} new takes; the first is picked.`); };
  const upload = (image, file, overwrite) => {
    of(image).upload = file;
    const query = new URLSearchParams({ id: image.id, name: file.name, ...(overwrite ? { overwrite: "" } : {}) });
    return carry(image, () => ask(`actions/adopt?${query}`, { method: "POST", headers: { "content-type": "application/octet-stream" }, body: file }), `${file.name} is the image now.`);
  };
  const edit = (image, path) => carry(image, () => act("open", { id: image.id, path }), path ? "The file is being opened." : "The manifest is being opened.");

  /* What only the open image needs: where it is declared, and every result that it ever had. */
  const look = async (image) => {
    try { of(image).about = await ask(`image?${new URLSearchParams({ id: image.id })}`); } catch { return; }
    if (gallery.open?.id === image.id) gallery.refresh();
  };

  /* ---- the difference between two texts, word by word */
  const words = (value) => value.match(/\s+|[\p{L}\p{N}'’-]+|[^\s]/gu) ?? [];
  const difference = (old, now) => {
    const [a, b] = [words(old ?? ""), words(now ?? "")];
    if (a.length * b.length > 1e6) return [el("del", {}, old ?? ""), " ", el("ins", {}, now ?? "")];
    const longest = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    const parts = [];
    const add = (kind, word) => { const last = parts.at(-1); if (last?.[0] === kind) last[1] += word; else parts.push([kind, word]); };
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { add("span", a[i++]); j++; }
      else if (i < a.length && (j >= b.length || longest[i + 1][j] >= longest[i][j + 1])) add("del", a[i++]);
      else add("ins", b[j++]);
    }
    return parts.map(([kind, word]) => el(kind, {}, word));
  };

  /* ---- an image's takes */
  const button = (key, label, onclick, props) => el("button", { type: "button", class: "tool", "data-key": key, onclick, ...props }, label);
  const named = (take) => (take.earlier ? `Earlier ${take.handle}` : `Take ${take.number}`);
  const takesOf = (image) => of(image).about?.takes ?? image.takes.map((take) => ({ ...take, here: !take.lost, handle: String(take.number) }));
  const sourceOf = (take) => gallery.source(take.digest) ?? (take.here ? `blob/${take.digest}` : null);
  const whole = (take, props) => crisp(el("img", { src: `blob/${take.digest}`, alt: named(take), decoding: "async", draggable: "false", ...props }));
  const compare = (image, right) => {
    const takes = takesOf(image).filter((take) => take.here);
    const left = takes.find((take) => take.picked && take.handle !== right.handle) ?? takes.find((take) => take.handle !== right.handle);
    of(image).compare = { left: left.handle, right: right.handle, mode: of(image).compare?.mode ?? "side" };
    of(image).look = null;
    gallery.refresh();
  };
  const compared = (image) => {
    const wish = of(image).compare;
    const [left, right] = ["left", "right"].map((side) => takesOf(image).find((take) => take.here && take.handle === wish?.[side]));
    return left && right ? { ...wish, left, right } : null;
  };

  const comparison = (image, { left, right, mode }) => {
    const wish = of(image).compare;
    const choose = (side, label) => el("label", {}, el("span", { class: "unseen" }, label), el("select", { "data-key": `compare-${side}`, onchange: (event) => { wish[side] = event.target.value; gallery.refresh(); } },
      takesOf(image).filter((take) => take.here).map((take) => el("option", { value: take.handle, selected: take.handle === (side === "left" ? left : right).handle }, named(take)))));
    const way = (name, label) => button(`mode-${name}`, label, () => { wish.mode = name; gallery.refresh(); }, { "aria-pressed": String(mode === name) });
    const bar = el("div", { class: "versus" }, choose("left", "Left take"), el("span", { class: "quiet" }, "and"), choose("right", "Right take"), way("side", "Side by side"), way("slider", "Slider"),
      button("compare-end", "Done", () => { of(image).compare = null; gallery.refresh(); }));
    if (mode === "side") return el("div", { class: "compare" }, bar, el("div", { class: "pair" }, [left, right].map((take) => el("figure", {}, whole(take), el("figcaption", {}, named(take))))));
    const stack = el("div", { class: "stack" }, whole(right), el("div", { class: "over" }, whole(left)), el("i", { class: "edge", "aria-hidden": "true" }));
    const slide = el("input", { type: "range", min: "0", max: "100", value: wish.cut ?? 50, step: "1", "data-key": "slide", "aria-label": `How much of ${named(left)} is shown over ${named(right)}`, oninput: (event) => { wish.cut = event.target.value; stack.style.setProperty("--cut", `${wish.cut}%`); } });
    stack.style.setProperty("--cut", `${wish.cut ?? 50}%`);
    stack.style.setProperty("--ratio", left.width / left.height);
    stack.style.setProperty("--width", `${Math.max(left.width, right.width, 320)}px`);
    return el("div", { class: "compare" }, bar, el("div", { class: "field" }, stack), slide);
  };

  gallery.more.stage = (image) => {
    const pair = compared(image);
    if (pair) return comparison(image, pair);
    const take = takesOf(image).find((one) => one.here && one.handle === of(image).look);
    return take ? whole(take) : null;
  };

  const takeCard = (image, take, prompt) => {
    const busy = Boolean(session.acting[image.id]) || session.placeholder;
    const source = sourceOf(take);
    const seen = of(image).look === take.handle;
    const thumb = source ? crisp(el("img", { src: source, alt: "", decoding: "async", draggable: "false" })) : el("span", { class: "none" }, "bytes lost");
    const several = takesOf(image).filter((one) => one.here).length > 1;
    return el("li", { class: [take.picked ? "picked" : "", seen ? "seen" : ""].join(" ") },
      el("button", { type: "button", class: "thumb", "data-key": `look-${take.handle}`, "aria-pressed": String(seen), "aria-label": `Show ${named(take)} large`, disabled: !take.here, onclick: () => { of(image).look = seen ? null : take.handle; of(image).compare = null; gallery.refresh(); } }, thumb),
      el("div", { class: "label" },
        el("div", { class: "facts" }, el("b", {}, named(take)), take.picked ? el("span", { class: "mark" }, "picked") : "", take.adopted ? el("span", {}, "adopted") : ""),
        el("div", { class: "quiet" }, [`${take.width}×${take.height}`, take.cost === null || take.cost === undefined ? "" : money(take.cost, take.unit)].filter(Boolean).join(", ")),
        el("div", { class: "quiet" }, when(take.created)),
        el("div", { class: "acts" },
          take.picked ? "" : button(`pick-${take.handle}`, "Pick", () => pick(image, take), { disabled: busy || !(take.here || take.usable), "aria-label": `Pick ${named(take)}` }),
          several && take.here ? button(`compare-${take.handle}`, "Compare", () => compare(image, take), { "aria-label": `Compare ${named(take)}` }) : ""),
        prompt && prompt !== image.prompt ? el("details", {}, el("summary", {}, "Its prompt"), el("p", { class: "prose diff" }, difference(prompt, image.prompt))) : ""));
  };

  const choices = (image) => {
    const takes = takesOf(image);
    const [now, before] = [takes.filter((take) => !take.earlier), takes.filter((take) => take.earlier)];
    const pair = compared(image);
    const differs = pair && (pair.left.prompt ?? image.prompt) !== (pair.right.prompt ?? image.prompt);
    return [
      ...(pair ? gallery.part(`Prompt, ${named(pair.left)} → ${named(pair.right)}`, el("p", { class: "prose diff" }, differs ? difference(pair.left.prompt ?? image.prompt, pair.right.prompt ?? image.prompt) : "The same words made both.")) : []),
      ...(now.length ? gallery.part(count(now.length, "take", "takes"), el("ul", { class: "takes" }, now.map((take) => takeCard(image, take, null)))) : []),
      ...(before.length ? gallery.part("Before the last edits", el("ul", { class: "takes" }, before.map((take) => takeCard(image, take, take.prompt)))) : []),
    ];
  };

  /* ---- what can be done with an image */
  const cost = (quote) => (quote.cost === null ? "nobody knows what this costs" : `about ${money(quote.cost, quote.unit)}`);
  gallery.more.tools = (image) => {
    const mine = of(image);
    const about = mine.about;
    const busy = Boolean(session.acting[image.id]);
    const off = busy || session.placeholder;
    const output = image.outputs.find((one) => one.href);
    const chosen = el("input", { type: "file", hidden: true, accept: "image/png,image/jpeg,image/webp,image/avif,image/gif", onchange: (event) => { if (event.target.files[0]) upload(image, event.target.files[0], false); } });
    const many = el("select", { "data-key": "count", "aria-label": "How many new takes", disabled: off, onchange: (event) => { mine.count = Number(event.target.value); } },
      [1, 2, 3, 4].map((number) => el("option", { value: number, selected: number === mine.count }, number)));
    const failure = session.failures[image.id];
    const asked = mine.quote ? el("div", { class: "ask", role: "group", "aria-label": "This costs money" },
      el("p", {}, el("b", {}, `${count(mine.quote.count, "new take", "new takes")}: ${cost(mine.quote)}.`), ` ${spending()}.`),
      el("div", { class: "acts" }, button("agree", "Generate", () => reroll(image, mine.quote.count, mine.quote.cost ?? 0), { class: "tool main" }), button("refuse", "Not now", () => { mine.quote = null; gallery.refresh(); }))) : "";
    return [
      failure ? el("p", { class: "problem" }, text(`${failure.kind}: ${failure.message}`)) : "",
      el("div", { class: "acts tools" },
        el("span", { class: "joined" }, many, button("reroll", mine.count === 1 ? "New take" : "New takes", () => reroll(image, mine.count, null), { disabled: off })),
        chosen, button("adopt", "Use a file of mine", () => chosen.click(), { disabled: off }),
        image.state === "changed by hand" ? button("keep", "Accept what lies there", () => carry(image, () => act("keep", { id: image.id }), "The file is accepted as it is."), { disabled: off, class: "tool main" }) : "",
        mine.clash && mine.upload ? button("overwrite", "Replace the changed file", () => { mine.clash = false; upload(image, mine.upload, true); }, { disabled: off }) : "",
        button("edit", about ? ["Edit ", el("code", {}, about.declared)] : "Edit", () => edit(image, null)),
        output ? button("open", "Open the file", () => edit(image, output.path)) : ""),
      asked,
      el("p", { class: `said ${mine.said?.bad ? "problem" : ""}`, role: "status" }, busy ? `${JOBS[session.jobs[image.id]?.state] ?? session.acting[image.id]} …` : mine.said ? text(mine.said.words) : ""),
      ...choices(image),
    ].filter(Boolean);
  };

  gallery.more.note = (image) => {
    const mine = of(image);
    const note = el("textarea", { id: "note", rows: "2", maxlength: "2000", "data-key": "note", placeholder: "What should be retouched, or why this one", oninput: (event) => { mine.draft = event.target.value; save.disabled = false; } });
    note.value = mine.draft ?? gallery.note(image.id);
    const keep = async () => {
      const words = note.value;
      await carry(image, () => act("note", { id: image.id, text: words }), "The note is in imgbuild.notes.json.");
    };
    const save = button("save-note", "Keep the note", keep, { disabled: mine.draft === null });
    return gallery.part(el("label", { for: "note" }, "Note"), note, el("div", { class: "acts" }, save));
  };

  /* ---- cards: what is going on with an image */
  const badge = (id) => {
    const job = session.jobs[id];
    if (job) return ["work", [JOBS[job.state] ?? job.state, job.progress ? `${Math.round(job.progress * 100)} %` : ""].filter(Boolean).join(" ")];
    if (session.failures[id]) return ["bad", session.failures[id].kind === "conflict" ? "left alone" : "failed"];
    return null;
  };
  const marked = (node, id) => {
    const found = badge(id);
    node.hidden = !found;
    if (found) { node.className = `badge ${found[0]}`; node.textContent = found[1]; }
    return node;
  };
  gallery.more.card = (image) => marked(el("span", { class: "badge" }), image.id);

  /* ---- the session */
  const bar = el("section", { id: "session", class: "no-print", "aria-label": "Session" });
  document.querySelector("header.top").after(bar);
  const spending = () => {
    const whole = session.limit === null || session.limit === undefined ? "" : ` of ${money(session.limit, session.unit)}`;
    return whole ? `${Number(session.spent.toFixed(4))}${whole} spent in this session` : `${money(session.spent, session.unit)} spent in this session`;
  };
  const problem = (one) => {
    const line = one.source === null || one.source === undefined ? "" : el("pre", { tabindex: "0" }, `${one.source}\n${" ".repeat(Math.max(0, one.column - 1))}^`);
    return el("li", {}, el("p", {}, one.place ? el("code", {}, one.place) : "", one.place ? " " : "", text(one.message)), line,
      one.chain?.length > 1 ? el("p", { class: "quiet" }, text(one.chain.join(" → "))) : "", one.hint ? el("p", { class: "quiet" }, text(one.hint)) : "");
  };
  const render = () => {
    const [tone, words] = lost ? ["bad", lost] : PHASES[session.phase] ?? ["work", session.phase];
    const jobs = Object.entries(session.jobs);
    const focused = document.activeElement?.dataset?.key;
    bar.replaceChildren(
      el("div", { class: "now" },
        el("span", { class: `state ${tone}`, role: "status" }, words), session.last && session.phase === "watching" ? el("span", { class: "quiet" }, `last: ${session.last}`) : "",
        el("span", { class: "spent" }, session.limit ? el("meter", { min: "0", max: session.limit, value: session.spent, "aria-label": "Spent in this session" }) : "", spending())),
      jobs.length ? el("ul", { class: "jobs" }, jobs.slice(0, MOST_JOBS).map(([id, job]) => el("li", {}, text(id), el("span", { class: "quiet" }, ` ${badge(id)[1]}`), job.detail ? el("span", { class: "quiet" }, text(` ${job.detail}`)) : "")),
        jobs.length > MOST_JOBS ? el("li", { class: "quiet" }, `and ${jobs.length - MOST_JOBS} more`) : "") : "",
      session.question ? el("div", { class: "ask", role: "group", "aria-label": "A question" }, el("p", {}, el("b", {}, text(session.question.text))),
        el("div", { class: "acts" }, button("yes", "Yes", () => answer(true), { class: "tool main" }), button("no", "Not now", () => answer(false)))) : "",
      session.problems.length ? el("ul", { class: "problems" }, session.problems.map(problem)) : "",
      session.said.length ? el("details", { class: "quiet" }, el("summary", {}, count(session.said.length, "message", "messages")), el("ul", {}, session.said.map((one) => el("li", {}, text(one))))) : "");
    if (focused && bar.querySelector(`[data-key="${CSS.escape(focused)}"]`)) bar.querySelector(`[data-key="${CSS.escape(focused)}"]`).focus();
    for (const card of document.querySelectorAll(".card[data-id]")) { const node = card.querySelector(".badge"); if (node) marked(node, card.dataset.id); }
  };
  const answer = async (yes) => { try { await act("answer", { number: session.question.number, yes }); } catch { /* it was withdrawn meanwhile */ } };

  /* ---- being told */
  const stream = new EventSource("events");
  stream.addEventListener("gallery", (event) => {
    gallery.show(JSON.parse(event.data));
    for (const [id, mine] of kept) if (mine.draft === gallery.note(id)) mine.draft = null;
    if (gallery.open) look(gallery.open);
  });
  stream.addEventListener("session", (event) => {
    const before = gallery.open && JSON.stringify([session.acting[gallery.open.id], session.jobs[gallery.open.id], session.failures[gallery.open.id]]);
    session = JSON.parse(event.data);
    render();
    if (gallery.open && before !== JSON.stringify([session.acting[gallery.open.id], session.jobs[gallery.open.id], session.failures[gallery.open.id]])) gallery.refresh();
  });
  stream.addEventListener("open", () => { lost = ""; render(); });
  stream.addEventListener("error", () => {
    lost = stream.readyState === EventSource.CLOSED ? "The session has ended; open the next one's address" : "The session does not answer; trying again …";
    render();
  });
  const dialog = byId("detail");
  new MutationObserver(() => { if (dialog.open && gallery.open && !of(gallery.open).about) look(gallery.open); }).observe(dialog, { attributes: true, childList: true });
  dialog.addEventListener("dragover", (event) => { event.preventDefault(); dialog.classList.add("drop"); });
  dialog.addEventListener("dragleave", () => dialog.classList.remove("drop"));
  dialog.addEventListener("drop", (event) => {
    event.preventDefault();
    dialog.classList.remove("drop");
    if (gallery.open && event.dataTransfer.files[0]) upload(gallery.open, event.dataTransfer.files[0], false);
  });
  render();
})();
