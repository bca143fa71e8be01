/** A bridge that runs, and a browser in front of it. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

/** Everything that Chromium would do by itself, off. */
const CHROMIUM_ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const DEMO_PATIENCE_MS = 600_000;
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const pictures = join(import.meta.dirname, "../pictures");
export const WIDTHS = { narrow: { width: 375, height: 812 }, wide: { width: 1280, height: 900 } };

/** The bridge that the environment names, or one that the demo leaves running. */
export async function bridge() {
  const named = process.env.GRAIL_API;
  const demo = process.env.GRAIL_DEMO;
  if (!demo) throw new Error("GRAIL_DEMO names no grail-demo: cargo xtask test --slow web");
  if (named) return { api: named, demo, environment: process.env, end: () => {} };
  const child = spawn(demo, ["--keep"], { stdio: ["ignore", "pipe", "inherit"] });
  const environment = { ...process.env };
  let text = "";
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no bridge: ${text}`)), DEMO_PATIENCE_MS);
    child.on("exit", (code) => reject(new Error(`the demo ended with ${code}: ${text}`)));
    child.stdout.on("data", (data) => {
      text += data;
      if (!text.includes("files and logs:")) return;
      for (const [, name, value] of text.matchAll(/^export (\w+)=(.*)$/gm)) environment[name] = value;
      clearTimeout(timer);
      resolve();
    });
  });
  child.removeAllListeners("exit");
  return { api: environment.GRAIL_API, demo, environment, end: () => child.kill("SIGINT") };
}

/** Runs the demo's helper: `fund ADDRESS BTC`, `mine COUNT`. */
export function helper(bridge, ...words) {
  const done = spawnSync(bridge.demo, words, { env: bridge.environment, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${words.join(" ")}: ${done.stderr}${done.stdout}`);
  return done.stdout;
}

/** A fresh browser. What it must never do is collected, and looked at in the end. */
export async function browser(api) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const running = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS });
  const faults = [];
  const contexts = [];
  const open = async (options = {}) => {
    const context = await running.newContext({ viewport: WIDTHS.wide, acceptDownloads: true, ...options });
    contexts.push(context);
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) =>
        console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`),
      );
    });
    const page = await context.newPage();
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (!["data:", "blob:"].includes(url.protocol) && url.origin !== new URL(api).origin) {
        faults.push(`asked ${url.origin}`);
      }
    });
    page.on("pageerror", (error) => faults.push(`threw ${error}`));
    page.on("console", (message) => {
      const text = message.text();
      if (/policy violated|Content Security Policy|Trusted/i.test(text)) faults.push(text);
    });
    return page;
  };
  /** Ends what was opened: each page holds connections. */
  const close = () => Promise.all(contexts.splice(0).map((context) => context.close()));
  return { open, close, faults, end: () => running.close() };
}

/** Pictures of what is shown at both widths, and in the dark. */
export async function picture(page, name) {
  mkdirSync(pictures, { recursive: true });
  for (const [width, viewport] of Object.entries(WIDTHS)) {
    await page.setViewportSize(viewport);
    await page.screenshot({ path: join(pictures, `${name}-${width}.png`), fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) throw new Error(`${name} is ${wide} pixels wider than ${viewport.width}`);
  }
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(pictures, `${name}-dark.png`), fullPage: true });
  await accessible(page, `${name}, dark`);
  await page.emulateMedia({ colorScheme: "light" });
  await accessible(page, name);
}

async function accessible(page, name) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  if (violations.length > 0) {
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
    throw new Error(`${name}: ${told.join("\n")}`);
  }
}
