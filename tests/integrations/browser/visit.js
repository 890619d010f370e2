// Opens a page in headless Chromium and says what happened there. A visit comes as JSON on stdin:
//   url, browser (the program), width and height of the window, hold (a pattern of URLs that wait for the first
//   paint), until (an expression that becomes true), report (an expression: what to bring back), shot (a PNG file).
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const visit = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
  executablePath: visit.browser,
  args: [
    "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});
const problems = [];
const printed = [];
try {
  const page = await browser.newPage({ viewport: { width: visit.width, height: visit.height } });
  page.on("console", (said) => (said.type() === "error" ? problems : printed).push(said.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}`));
  page.on("response", (answer) => answer.status() >= 400 && problems.push(`${answer.status()}: ${answer.url()}`));
  await page.addInitScript(() => {
    window.layoutShift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.layoutShift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  if (visit.hold) {
    const painted = () =>
      page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    await page.route(new RegExp(visit.hold), async (route) => {
      await painted();
      await route.continue();
    });
  }
  await page.goto(visit.url, { waitUntil: "load" });
  await page.waitForFunction(visit.until, null, { timeout: 60_000 });
  const report = await page.evaluate(visit.report);
  if (visit.shot) await page.screenshot({ path: visit.shot, fullPage: true });
  console.log(JSON.stringify({ report, problems, printed }));
} catch (error) {
  console.error([...problems, ...printed].join("\n"));
  throw error;
} finally {
  await browser.close();
}
