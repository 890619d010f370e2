
(() => {
  const data = JSON.parse(byId("data").textContent);
  const said = (value) => (value === null || value === undefined ? "not set" : typeof value === "object" ? JSON.stringify(value) : /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 12)}…` : String(value));

  const side = (name, file, id, missing) => {
    const source = file && data.thumbs[file.digest];
    const img = source ? crisp(el("img", { src: source, alt: `${name}: ${id}`, decoding: "async" })) : el("span", { class: "none" }, file ? "its bytes were not found" : missing);
    const facts = file ? ` ${file.width}×${file.height}, ${kilo(file.bytes)}` : "";
    return el("figure", {}, el("div", { class: "frame" }, img), el("figcaption", {}, el("b", {}, name), facts));
  };

  const change = (one) => {
    const pair = one.outputs.find((output) => output.path === one.shown) ?? { path: "", old: null, new: null };
    const reasons = one.reasons.map((reason) => el("div", {},
      el("dt", {}, text(reason.field)),
      el("dd", {}, el("del", {}, text(said(reason.old))), el("br"), el("ins", {}, text(said(reason.new))))));
    const files = one.outputs.map((output) => {
      const what = output.old === null ? "new" : output.new === null ? "gone" : `${kilo(output.old.bytes)} → ${kilo(output.new.bytes)}`;
      return el("li", {}, text(output.path), el("span", { class: "quiet" }, ` ${what}`));
    });
    return el("article", { class: "change" },
      el("header", {}, el("h2", {}, text(one.id)), el("span", { class: `state ${one.change}` }, one.change)),
      el("div", { class: "sides" }, side("Before", pair.old, one.id, "was not there"), side("After", pair.new, one.id, "is gone")),
      el("div", { class: "what" }, reasons.length ? el("dl", {}, reasons) : "", el("ul", {}, files)));
  };

  byId("project").replaceChildren(text(data.project));
  const counts = ["added", "changed", "removed"].map((kind) => [kind, data.differences.filter((one) => one.change === kind).length]);
  const sum = counts.filter(([, number]) => number).map(([kind, number]) => `${number} ${kind}`).join(", ");
  byId("sum").textContent = `${sum || "No image has changed"} since ${data.revision} (${data.commit.slice(0, 7)})`;
  byId("changes").replaceChildren(...(data.differences.length ? data.differences.map(change) : [el("p", { class: "empty" }, "Nothing to review.")]));
  byId("print").addEventListener("click", () => print());
  themed(byId("theme"));
})();
