// What benchmarks/derive.py measures imgbuild against: the same files from the same masters, made by sharp.
// node derive_with_sharp.js SHARP_FOLDER MASTERS OUT WIDTHS ENCODERS, the last two as JSON.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const [folder, masters, out, widths, encoders] = process.argv.slice(2);
const sharp = require(path.join(folder, "node_modules", "sharp"));

// One thread a pipeline and as many pipelines as libuv has threads: the fastest way to make many files.
sharp.concurrency(1);
sharp.cache(false);

async function main() {
  const files = fs.readdirSync(masters);
  const made = files.flatMap((file) =>
    JSON.parse(widths).flatMap(([width, height]) =>
      Object.entries(JSON.parse(encoders)).map(([format, options]) =>
        sharp(path.join(masters, file))
          .resize(width, height)
          [format](options)
          .toFile(path.join(out, `${path.parse(file).name}-${width}.${format}`)),
      ),
    ),
  );
  const infos = await Promise.all(made);
  const bytes = infos.reduce((sum, info) => sum + info.size, 0);
  console.log(`${infos.length} files, ${bytes} bytes`);
}

main();
