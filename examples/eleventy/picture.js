/**
 * A <picture> for an image of the table that `imgbuild build` writes:
 *
 *     {% picture images, "hero", { sizes: "100vw", eager: true } %}
 *
 * Width and height keep the place free, and the tiny preview fills it, until the picture is there.
 */
export function picture(images, id, { sizes, eager = false } = {}) {
  const image = images[id];
  if (!image) throw new Error(`there is no image "${id}"; \`imgbuild list\` names all of them`);
  const shown = sizes ?? image.sizes;
  const sources = Object.entries(image.srcset).map(
    ([format, srcset]) => `<source${attributes({ type: `image/${format}`, srcset, sizes: shown })}>`,
  );
  const img = attributes({
    src: image.src,
    width: image.width,
    height: image.height,
    alt: image.alt,
    style: `background: ${image.color} url(${image.lqip}) center / cover`,
    decoding: "async",
    ...(eager ? { fetchpriority: "high" } : { loading: "lazy" }),
  });
  return `<picture>${sources.join("")}<img${img}></picture>`;
}

function attributes(values) {
  return Object.entries(values).map(([name, value]) => ` ${name}="${escaped(value)}"`).join("");
}

function escaped(value) {
  return String(value).replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
