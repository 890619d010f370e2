
"use strict";

/* An element. Texts become text nodes: nothing that the data holds is ever read as markup. */
const el = (tag, props, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
};
const byId = (id) => document.getElementById(id);
const text = (value) => el("bdi", { dir: "auto" }, value);
const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const kilo = (bytes) =>
  bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
const money = (cost, unit) => `${Number(cost.toFixed(4))} ${unit ?? "USD"}`;
const when = (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 16)}`;
const stored = {
  get(name) { try { return localStorage.getItem(`imgbuild.${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`imgbuild.${name}`, value); } catch { /* a page in private mode */ } },
};

/* A tiny picture is enlarged in whole pixels: pixel art and icons are not blurred. */
const SMALL = 96;
const crisp = (img) => {
  img.addEventListener("load", () => img.classList.toggle("small", Math.max(img.naturalWidth, img.naturalHeight) <= SMALL), { once: true });
  return img;
};

/* Light and dark: the system's wish, until somebody says otherwise. */
const themed = (button) => {
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => { const to = dark() ? "light" : "dark"; stored.set("theme", to); show(to); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
  const kept = stored.get("theme");
  show(kept === "light" || kept === "dark" ? kept : undefined);
};
