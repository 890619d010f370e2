// Drives one page in headless Chromium, line by line: each line on stdin is a JSON list [what, ...words], and is
// answered by a JSON line. What: a method of Playwright's page, or of keyboard or mouse ("keyboard.press"); or
//   report (an expression), until (an expression that has to come true), axe, problems, files (a selector and paths),
//   look (light or dark, width, height), clip (a file, and a selector to picture alone; or the window).
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [program, modules] = process.argv.slice(2);
const axe = readFileSync(`${modules}/axe-core/axe.min.js`, "utf8");
const browser = await chromium.launch({
  executablePath: program,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, colorScheme: "light" });
const page = await context.newPage();
page.setDefaultTimeout(20_000);
const problems = [];
const requests = [];
page.on("console", (said) => said.type() === "error" && problems.push(said.text()));
page.on("pageerror", (error) => problems.push(String(error)));
page.on("request", (request) => request.url().startsWith("data:") || requests.push(request.url()));
const does = {
  report: (expression) => page.evaluate(expression),
  // Playwright's own way to wait compiles a text on the page, which its policy forbids.
  until: async (expression) => {
    // The page may just be leaving for the next one.
    for (const end = Date.now() + 20_000; !(await page.evaluate(expression).catch(() => false)); ) {
      if (Date.now() > end) throw new Error(`not in 20 s: ${expression}`);
      await new Promise((go) => setTimeout(go, 30));
    }
  },
  files: (selector, ...paths) => page.setInputFiles(selector, paths),
  problems: () => problems.splice(0),
  requests: () => requests.splice(0),
  cookies: () => context.cookies(),
  look: async (scheme, width, height) => {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
  },
  clip: async (path, selector) => { await (selector ? page.locator(selector).screenshot({ path }) : page.screenshot({ path })); },
  axe: async () => {
    await page.evaluate(axe);
    const found = await page.evaluate(() => axe.run());
    return found.violations.map((one) => `${one.impact}: ${one.id}: ${one.nodes[0].html.slice(0, 200)}`);
  },
};
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const [what, ...words] = JSON.parse(line);
    let answer;
    try {
      const [object, name] = what.includes(".") ? what.split(".") : [null, what];
      const found = does[what] ? await does[what](...words) : await (object ? page[object][name](...words) : page[what](...words));
      answer = { found: ["goto", "waitForSelector", "selectOption", "click"].includes(what) ? null : (found ?? null) };
    } catch (error) {
      answer = { error: String(error) };
    }
    console.log(JSON.stringify(answer));
  }
} finally {
  await browser.close();
}
