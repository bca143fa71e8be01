/**
 * The page in a real browser, in front of a bridge on regtest: a peg-in from the form to `paid`,
 * every screen with pictures, and answers that lie.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";

import { bridge as running, browser as launched, helper, picture } from "./support.mjs";

const AMOUNT_SAT = 700_000;
const PAID_PATIENCE_MS = 240_000;
const ADDRESS = "[data-test=pay] .fours";

let bridge, browser;
before(async () => {
  bridge = await running();
  browser = await launched(bridge.api);
});
afterEach(() => browser.close());
after(async () => {
  await browser?.end();
  bridge?.end();
});

const at = (path) => new URL(path, bridge.api).href;

/** Words made in the page and typed again, as somebody with a paper does. */
async function makeWords(page) {
  await page.getByRole("button", { name: "Make new words" }).click();
  await page.locator("[data-test=words] li").first().waitFor();
  const words = await page.locator("[data-test=words] li").allTextContents();
  assert.equal(words.length, 12);
  await page.getByRole("button", { name: "I have written them down" }).click();
  for (const field of await page.locator("input[id^=word-]").all()) {
    const place = Number((await field.getAttribute("id")).slice("word-".length));
    await field.fill(words[place]);
  }
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByText("Your words are in use in this tab.").waitFor();
  return words.join(" ");
}

/** To where the receipt has to be saved. */
async function ask(page, amount = AMOUNT_SAT) {
  await page.goto(at("/peg-in"));
  await page.getByLabel("Amount of BTC").fill(String(amount));
  const words = await makeWords(page);
  await page.getByLabel("an address of my words").check();
  await page.locator("[data-test=ask]:enabled").click();
  return words;
}

async function saveReceipt(page) {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download the receipt" }).click(),
  ]);
  const path = await download.path();
  await page.getByLabel("Choose the saved file").setInputFiles(path);
  return readFileSync(path, "utf8");
}

async function untilState(page, ...states) {
  const selector = states.map((state) => `[data-state="${state}"]`).join(", ");
  await page.locator(selector).waitFor({ timeout: PAID_PATIENCE_MS });
}

test("the start page checks the bridge", async () => {
  const page = await browser.open();
  await page.goto(at("/"));
  await page.locator("[data-test=verdict].good").waitFor({ timeout: 120_000 });
  await page.locator("[data-test=serving]").waitFor();
  await picture(page, "home");
  for (const [path, ready] of [
    ["/operators", "[data-test=signers] li"],
    ["/reserves", "[data-test=reserves]"],
    ["/settings", "h2"],
    ["/about", "h2"],
    ["/requests", "h2"],
    ["/reclaim", "h2"],
    ["/nothing", "h1"],
  ]) {
    await page.goto(at(path));
    await page.locator(ready).first().waitFor({ timeout: 120_000 });
    if (path === "/reserves") await page.waitForTimeout(500);
    await picture(page, path.slice(1));
  }
  const verified = await page.goto(at("/operators")).then(async () => {
    await page.locator("[data-test=signers] li").first().waitFor({ timeout: 120_000 });
    return page.locator("[data-test=signers] .badge.good").count();
  });
  assert.ok(verified >= 3);
});

test("a peg-in goes from the form to paid, over a reload and in another browser", async () => {
  const page = await browser.open();
  await page.goto(at("/peg-in"));
  await page.getByLabel("Amount of BTC").fill("5");
  await page.getByText("Below the smallest amount").waitFor();
  await picture(page, "peg-in-below");
  await page.getByLabel("Amount of BTC").fill(String(AMOUNT_SAT));
  await page.getByRole("button", { name: "Make new words" }).click();
  await picture(page, "peg-in-words");

  await ask(page);
  await page.getByRole("heading", { name: "Save the receipt" }).waitFor({ timeout: 120_000 });
  assert.equal(await page.locator(".fours").count(), 0, "no address before the receipt is saved");
  assert.equal(await page.locator(".qr").count(), 0);
  await page.getByText("Your words find this deposit too").waitFor();
  await picture(page, "peg-in-receipt");
  // Another receipt is none of this one: nothing is shown for it.
  await page.getByText("No files on this device?").click();
  await page.getByLabel("Paste it here").fill("{}");
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByText("This is no receipt").waitFor();
  assert.equal(await page.locator(".fours, .qr").count(), 0);
  const receipt = JSON.parse(await saveReceipt(page));

  await page.locator(ADDRESS).waitFor();
  const address = await page.locator(ADDRESS).getAttribute("data-text");
  assert.equal(address, receipt.receipt.deposit_address);
  await picture(page, "request-pay");

  helper(bridge, "fund", address, (AMOUNT_SAT / 1e8).toFixed(8));
  await untilState(page, "unconfirmed", "ready", "settling", "paid");
  await picture(page, "request-seen");
  await page.reload();
  helper(bridge, "mine", "2");
  await untilState(page, "ready", "settling", "paid");
  await picture(page, "request-settling");
  const other = await browser.open();
  await other.goto(page.url());
  await untilState(other, "ready", "settling", "paid");
  assert.equal(await other.locator(ADDRESS).count(), 0);
  helper(bridge, "mine", "3");
  await untilState(page, "paid");
  await untilState(other, "paid");
  await picture(page, "request-paid");
  await page.goto(at("/requests"));
  await page.getByText("Paid", { exact: true }).waitFor();
  await picture(page, "requests-one");
});

test("a receipt that somebody else gives shows no address to pay to", async () => {
  const page = await browser.open();
  await ask(page);
  await page.getByRole("heading", { name: "Save the receipt" }).waitFor({ timeout: 120_000 });
  const receipt = await saveReceipt(page);
  await page.locator(ADDRESS).waitFor();
  const victim = await browser.open();
  await victim.goto(at("/requests"));
  await victim.locator("#receipt").setInputFiles({
    name: "receipt.json",
    mimeType: "application/json",
    buffer: Buffer.from(receipt),
  });
  await untilState(victim, "awaiting-deposit");
  await victim.getByText("This browser did not ask for this request").waitFor();
  assert.equal(await victim.locator(".fours, .qr").count(), 0);
  await picture(victim, "request-of-another");
});

test("a deposit is taken back from its receipt, without the network", async () => {
  const page = await browser.open();
  const words = await ask(page);
  await page.getByRole("heading", { name: "Save the receipt" }).waitFor({ timeout: 120_000 });
  const receipt = await saveReceipt(page);
  const fresh = await browser.open();
  await fresh.goto(at("/reclaim"));
  await fresh.locator("#receipt").waitFor();
  // The core is loaded by the first check; from here on there is no network.
  await fresh.locator("#receipt").setInputFiles({
    name: "receipt.json",
    mimeType: "application/json",
    buffer: Buffer.from(receipt),
  });
  await fresh.getByRole("heading", { name: "The receipt is valid" }).waitFor({ timeout: 60_000 });
  await fresh.context().setOffline(true);
  await fresh.getByLabel("Output (txid:number)").fill(`${"ab".repeat(32)}:1`);
  await fresh.getByLabel("Its amount, sat").fill(String(AMOUNT_SAT));
  await fresh.getByLabel("Address", { exact: true }).fill(JSON.parse(receipt).receipt.deposit_address);
  await fresh.getByLabel("Your words").fill(words);
  await fresh.getByRole("button", { name: "Use these words" }).click();
  await picture(fresh, "reclaim-form");
  await fresh.locator("[data-test=sign]").click();
  await fresh.locator("[data-test=signed]").waitFor({ timeout: 60_000 });
  const raw = await fresh.locator("#raw").inputValue();
  assert.match(raw, /^02000000000101(ab){32}01000000/);
  await picture(fresh, "reclaim-signed");
});

/** One alteration, one refusal, and no address. */
const LIES = [
  ["another deposit address", "/v1/peg-ins", "receipt-address", (answer) => {
    answer.receipt.deposit_address = answer.deposit_address =
      "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
  }],
  ["another fee cap", "/v1/peg-ins", null, (answer) => {
    answer.terms.fee_cap += 1;
    answer.receipt.terms.fee_cap += 1;
  }],
  ["an address outside its receipt", "/v1/peg-ins", "answer-contradicts", (answer) => {
    answer.deposit_address = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
  }],
  ["evidence of nothing", "/v1/roster", "evidence-invalid", (answer) => {
    answer.signers[3].evidence = answer.signers[4].evidence;
  }],
  ["another parameter", "/v1/params", "params-hash", (answer) => {
    answer.params.deposit_confirmations += 1;
  }],
  ["another vault address", "/v1/roster", "roster-address", (answer) => {
    answer.address = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
  }],
];
for (const [name, path, code, alter] of LIES) {
  test(`an API that lies is refused and no address is shown: ${name}`, async () => {
    const page = await browser.open();
    let isLying = false;
    await page.route(`**${path}`, async (route) => {
      const response = await route.fetch();
      const answer = await response.json();
      if (isLying) alter(answer);
      await route.fulfill({ response, json: answer });
    });
    await page.goto(at("/peg-in"));
    await page.getByLabel("Amount of BTC").fill(String(AMOUNT_SAT));
    await makeWords(page);
    await page.getByLabel("an address of my words").check();
    await page.locator("[data-test=ask]:enabled").waitFor({ timeout: 120_000 });
    isLying = true;
    await page.locator("[data-test=ask]").click();
    const no = page.locator(".notice.bad[role=alert]");
    await no.waitFor({ timeout: 120_000 });
    const told = await no.locator("code").first().textContent();
    if (code === null) assert.ok(["receipt-address", "terms-differ"].includes(told), told);
    else assert.equal(told, code);
    assert.equal(await page.locator(".fours").count(), 0);
    if (path === "/v1/roster") await picture(page, "peg-in-refused");
  });
}

test("a server that is away is told, and what is here stays", async () => {
  const page = await browser.open();
  await page.route("**/v1/**", (route) => route.abort());
  await page.goto(at("/"));
  await page.getByText("The bridge does not answer").first().waitFor();
  await picture(page, "home-away");
});

test("nothing broke the page's policy or asked another address", () => {
  assert.deepEqual(browser.faults, []);
});
