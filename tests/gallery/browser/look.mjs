// Opens pages in headless Chromium and says what it saw. Visits come as a JSON list on stdin, each with
//   url, width, height, dark, print (as a printer sees it), steps (what a user does: [page method, ...arguments]),
//   report (an expression: what to bring back), axe (whether axe-core is to judge it), shot (a PNG file), pdf (a PDF
//   file). Of each it brings back the report, what axe-core found, problems on the console, and the requests that were made.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { browser: program, visits } = JSON.parse(readFileSync(0, "utf8"));
const axe = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const browser = await chromium.launch({
  executablePath: program,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const seen = [];
try {
  for (const visit of visits) {
    const context = await browser.newContext({
      viewport: { width: visit.width ?? 1200, height: visit.height ?? 800 },
      colorScheme: visit.dark ? "dark" : "light",
    });
    const page = await context.newPage();
    const problems = [];
    const requests = [];
    page.on("console", (said) => said.type() === "error" && problems.push(said.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("request", (request) => request.url().startsWith("data:") || requests.push(request.url()));
    await page.goto(visit.url, { waitUntil: "load" });
    if (visit.print) await page.emulateMedia({ media: "print" });
    for (const [method, ...words] of visit.steps ?? []) {
      const [object, name] = method.includes(".") ? method.split(".") : [null, method];
      await (object ? page[object][name](...words) : page[name](...words));
    }
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const report = await page.evaluate(visit.report ?? "null");
    if (visit.shot) await page.screenshot({ path: visit.shot });
    if (visit.pdf) await page.pdf({ path: visit.pdf, format: "A4", printBackground: true });
    let violations = [];
    if (visit.axe) {
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run());
      violations = found.violations.map((one) => `${one.impact}: ${one.id}: ${one.nodes[0].html.slice(0, 200)}`);
    }
    seen.push({ report, violations, problems, requests });
    await context.close();
  }
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
