import { picture } from "./picture.js";

export default function (config) {
  config.addShortcode("picture", picture);
  config.addPassthroughCopy({ static: "/", "src/css": "/css" });
  // The pictures and their table are built, so this example's .gitignore names them; Eleventy shall see them.
  config.setUseGitIgnore(false);
  return { dir: { input: "src", output: "_site" } };
}
