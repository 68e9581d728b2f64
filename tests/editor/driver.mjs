// Drives the workbench in a headless browser: one JSON command per line in, one JSON answer per line out.
// { id, op, ...arguments } -> { id, value } or { id, error }. Ends, with the browser, when its input ends.
import { createRequire } from "node:module";
import readline from "node:readline";

const { chromium } = createRequire(process.env.HEARTH_WORKBENCH + "/package.json")("playwright-core");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"];
const GHOST = ".ghost-text-decoration, .ghost-text, .ghost-text-decoration-preview, .suggest-preview-text";
const EDITOR = ".editor-instance .monaco-editor";
const HOSTS = new Set(["127.0.0.1", "localhost", "[::1]"]);

let browser, page;
const foreign = [];

// The ghost text as one reads it: the rest of the cursor's line first, then the lines below it.
const ghostText = () =>
  page.evaluate((selector) => {
    const all = [...document.querySelectorAll(selector)].filter((e) => !e.parentElement.closest(selector));
    const below = all.filter((e) => e.closest(".view-zones"));
    const inline = all.filter((e) => !below.includes(e)).map((e) => e.textContent).join("");
    const lines = below.flatMap((e) => [...(e.querySelectorAll(".view-line").length ? e.querySelectorAll(".view-line") : [e])]);
    return [inline, ...lines.map((e) => e.textContent)].filter(Boolean).join("\n").replaceAll("\u00a0", " ");
  }, GHOST);

const operations = {
  async open({ url }) {
    browser = await chromium.launch({ executablePath: process.env.HEARTH_CHROMIUM, headless: true, args: FLAGS });
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = await context.newPage();
    // No name resolves (see FLAGS), so a request to the outside fails; what the workbench's own service worker
    // answers under a made-up address never leaves the page.
    const outside = (request) => {
      const { protocol, hostname } = new URL(request.url());
      return /^(http|ws)s?:$/.test(protocol) && !HOSTS.has(hostname);
    };
    context.on("requestfailed", (request) => outside(request) && foreign.push(request.url()));
    context.on("response", (response) => {
      if (outside(response.request()) && !response.fromServiceWorker()) foreign.push(response.url());
    });
    await page.goto(url);
    await page.waitForSelector(".monaco-workbench", { timeout: 60_000 });
    await page.waitForSelector(`${EDITOR} .view-lines`, { timeout: 60_000 });
  },
  // What is visible on the page, by CSS selector and contained text. Fails when it does not come.
  async see({ selector, text, timeout = 30_000 }) {
    const found = page.locator(selector, text === undefined ? {} : { hasText: text }).first();
    await found.waitFor({ state: "visible", timeout });
    return found.innerText();
  },
  async gone({ selector, text, timeout = 30_000 }) {
    await page.locator(selector, text === undefined ? {} : { hasText: text }).first().waitFor({ state: "hidden", timeout });
  },
  // Text anywhere on the page, inside rendered documents (frames) too.
  async seeAnywhere({ text, timeout = 30_000 }) {
    const deadline = Date.now() + timeout;
    for (;;) {
      for (const frame of page.frames()) {
        const shown = await frame.evaluate(() => document.body?.innerText ?? "").catch(() => "");
        if (shown.includes(text)) return shown;
      }
      if (Date.now() > deadline) throw new Error(`nowhere on the page: ${JSON.stringify(text)}`);
      await page.waitForTimeout(100);
    }
  },
  // A link inside a rendered document.
  async clickLink({ text }) {
    for (const frame of page.frames()) {
      const link = frame.locator("a", { hasText: text }).first();
      if (await link.count().catch(() => 0)) return link.click({ timeout: 10_000 });
    }
    throw new Error(`no link on the page: ${JSON.stringify(text)}`);
  },
  async click({ selector, text }) {
    await page.locator(selector, text === undefined ? {} : { hasText: text }).locator("visible=true").first().click({ timeout: 15_000 });
  },
  // Puts the cursor at the end of the file in the active editor.
  async focus() {
    await page.locator(`${EDITOR} .view-lines`).first().click();
    await page.keyboard.press("Control+End");
  },
  type: ({ text, delay = 60 }) => page.keyboard.type(text, { delay }),
  press: ({ key }) => page.keyboard.press(key),
  ghost: () => ghostText(),
  async waitGhost({ text, timeout = 30_000 }) {
    const deadline = Date.now() + timeout;
    for (;;) {
      const now = await ghostText();
      if (now && (text === undefined || now.includes(text))) return now;
      if (Date.now() > deadline) throw new Error(`no ghost text with ${JSON.stringify(text)}; there is ${JSON.stringify(now)}`);
      await page.waitForTimeout(50);
    }
  },
  // Types key by key; after each, looks at every frame for a while. Answers what was seen: one list of texts per key.
  async typeWatching({ text, frames = 12 }) {
    const seen = [];
    for (const key of text) {
      await page.keyboard.type(key);
      seen.push(
        await page.evaluate(
          ({ selector, frames }) =>
            new Promise((resolve) => {
              const texts = [];
              const look = () => {
                texts.push([...document.querySelectorAll(selector)].map((e) => e.textContent).join("\n").replaceAll("\u00a0", " "));
                if (texts.length === frames) resolve(texts);
                else requestAnimationFrame(look);
              };
              requestAnimationFrame(look);
            }),
          { selector: GHOST, frames },
        ),
      );
    }
    return seen;
  },
  async command({ title }) {
    const input = page.locator(".quick-input-widget:visible input[type=text]");
    for (let attempt = 0; ; attempt++) {
      await page.keyboard.press("F1");
      try {
        await input.waitFor({ state: "visible", timeout: 4_000 });
        break;
      } catch (error) {
        if (attempt === 2) throw error;
      }
    }
    await input.fill(">" + title); // Never keyboard.type: it lands in the editor if the focus comes late.
    await page.locator(`.quick-input-list .monaco-list-row[aria-label^="${title}"]`).first().waitFor({ timeout: 15_000 });
    await input.press("Enter");
  },
  text: ({ selector }) => page.locator(selector).allInnerTexts(),
  shot: ({ path, clip }) => page.screenshot({ path, clip }),
  resize: ({ width, height }) => page.setViewportSize({ width, height }),
  wait: ({ ms }) => page.waitForTimeout(ms),
  foreign: () => foreign,
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { id, op, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { id, value: (await operations[op](given)) ?? null };
  } catch (error) {
    answer = { id, error: String(error?.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
// The page first: the workbench then ends the extension host at once instead of waiting for a reconnection.
await page?.close();
await browser?.close();
