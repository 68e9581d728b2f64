// Drives the workbench in a headless browser: one JSON command per line in, one JSON answer per line out.
// { id, op, ...arguments } -> { id, value } or { id, error }. Ends, with the browser, when its input ends.
import { createRequire } from "node:module";
import readline from "node:readline";

const { chromium } = createRequire(process.env.HEARTH_WORKBENCH + "/package.json")("playwright-core");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"];
const GHOST = ".ghost-text-decoration, .ghost-text, .ghost-text-decoration-preview, .suggest-preview-text";
const EDITOR = ".editor-instance .monaco-editor";
const HOSTS = new Set(["127.0.0.1", "localhost", "[::1]"]);

const SCENE_CHARS = 600; // of each thing on the page that is told of when an operation fails

let browser, context, page;
const foreign = [];
const INPUT = ".quick-input-widget:visible input[type=text]";

// Opens the quick input with a key. It may come late, or not at all while the editor is busy.
async function quickInput(key) {
  const input = page.locator(INPUT);
  for (let attempt = 0; ; attempt++) {
    await page.keyboard.press(key);
    try {
      await input.waitFor({ state: "visible", timeout: 4_000 });
      return input;
    } catch (error) {
      if (attempt === 2) throw error;
    }
  }
}

// A browser context that notes requests to the outside, and when a key or a button of the mouse was last pressed.
async function watched() {
  const made = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  // No name resolves (see FLAGS), so a request to the outside fails; what the workbench's own service worker
  // answers under a made-up address never leaves the page.
  const outside = (request) => {
    const { protocol, hostname } = new URL(request.url());
    return /^(http|ws)s?:$/.test(protocol) && !HOSTS.has(hostname);
  };
  made.on("requestfailed", (request) => outside(request) && foreign.push(request.url()));
  made.on("response", (response) => {
    if (outside(response.request()) && !response.fromServiceWorker()) foreign.push(response.url());
  });
  await made.addInitScript(() => {
    for (const kind of ["keydown", "mousedown"]) {
      window.addEventListener(kind, (event) => (window.lastPressed = performance.timeOrigin + event.timeStamp), true);
    }
  });
  return made;
}

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
  // A second time it opens the workbench anew, in a page of its own.
  async open({ url }) {
    await page?.close();
    browser ??= await chromium.launch({ executablePath: process.env.HEARTH_CHROMIUM, headless: true, args: FLAGS });
    context ??= await watched();
    page = await context.newPage();
    await page.goto(url);
    await page.waitForSelector(".monaco-workbench", { timeout: 60_000 });
    await page.waitForSelector(`${EDITOR} .view-lines`, { timeout: 60_000 });
  },
  // What is visible on the page, by CSS selector and contained text. Fails when it does not come.
  async see({ selector, text, timeout = 30_000 }) {
    const found = page.locator(selector, text === undefined ? {} : { hasText: text }).locator("visible=true").first();
    await found.waitFor({ timeout });
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
  async click({ selector, text, button = "left" }) {
    await page.locator(selector, text === undefined ? {} : { hasText: text }).locator("visible=true").first().click({ button, timeout: 15_000 });
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
  // Whether it comes within that time.
  hasGhost: (given) => operations.waitGhost(given).then(() => true, () => false),
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
    const input = await quickInput("F1");
    await input.fill(">" + title); // Never keyboard.type: it lands in the editor if the focus comes late.
    await page.locator(`.quick-input-list .monaco-list-row[aria-label^="${title}"]`).first().waitFor({ timeout: 15_000 });
    await input.press("Enter");
  },
  // Opens a file of the workspace in the first group, with the cursor on a line (and column), counted from 1.
  async go({ name, line, column = 1 }) {
    await page.keyboard.press("Control+1");
    const input = await quickInput("Control+p");
    await input.fill(`${name}:${line}:${column}`);
    await page.locator(`.quick-input-list .monaco-list-row[data-index="0"][aria-label^="${name}"]`).waitFor({ timeout: 15_000 });
    await input.press("Enter");
    await page.locator(`.tab.active[data-resource-name="${name}"]`).first().waitFor({ timeout: 15_000 });
    await page.locator(".statusbar-item", { hasText: `Ln ${line}, Col ${column}` }).waitFor({ timeout: 15_000 });
  },
  // Types into the quick input that asks for a text (and offers no list), and presses Enter.
  async answer({ text }) {
    await page.locator(".quick-input-list .monaco-list-row").first().waitFor({ state: "hidden" });
    const input = page.locator(INPUT);
    await input.fill(text);
    await input.press("Enter");
  },
  // Presses Enter in the quick input that shows a list: a page that is still loading may have taken the focus.
  async accept() {
    await page.locator(".quick-input-list .monaco-list-row").first().waitFor();
    await page.locator(INPUT).press("Enter");
  },
  // When a key or a button of the mouse was last pressed, in seconds since 1970.
  pressed: () => page.evaluate(() => window.lastPressed / 1000),
  text: ({ selector }) => page.locator(selector).allInnerTexts(),
  shot: ({ path, clip }) => page.screenshot({ path, clip }),
  resize: ({ width, height }) => page.setViewportSize({ width, height }),
  wait: ({ ms }) => page.waitForTimeout(ms),
  foreign: () => foreign,
  scene: () => scene(),
};

// What a person would look at to see why an operation failed: CI has no picture of the page.
async function scene() {
  const seen = { active: ".tab.active", toasts: ".notification-toast", dialogs: ".monaco-dialog-box", input: ".quick-input-widget", lenses: ".codelens-decoration", lines: ".view-lines" };
  const parts = Object.entries(seen).map(async ([name, selector]) => {
    const texts = await page.locator(selector).locator("visible=true").allInnerTexts();
    return `${name}: ${JSON.stringify(texts.map((text) => text.slice(0, SCENE_CHARS)))}`;
  });
  const focus = page.evaluate(() => `focus: ${document.activeElement?.className} in ${document.activeElement?.closest("[data-uri]")?.dataset.uri}`);
  return (await Promise.all([...parts, focus])).join("\n");
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { id, op, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { id, value: (await operations[op](given)) ?? null };
  } catch (error) {
    const there = page?.isClosed() === false ? await scene().catch((reason) => `no scene: ${reason}`) : "no page";
    answer = { id, error: `${error?.message ?? error}\n${there}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
// The page first: the workbench then ends the extension host at once instead of waiting for a reconnection.
await page?.close();
await browser?.close();
