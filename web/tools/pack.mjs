/**
 * Packs what Vite has built into `dist`, as `grail-backend` embeds it; with `--verify`, compares
 * with what is there and writes nothing.
 *
 * Every file but `index.html` is gzipped. What counts is what they unpack to: `manifest.json` holds
 * its hashes, so that another zlib makes no difference.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

/** Budgets, bytes after gzip: what a phone on a slow line waits for. */
const SCRIPT_MAX = 60 * 1024;
const CORE_MAX = 560 * 1024;

const web = dirname(import.meta.dirname);
const [built, dist] = [join(web, "built/page"), join(web, "dist")];
const isVerifying = process.argv.includes("--verify");

/** Names under a folder, two deep, in a fixed order. */
function names(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

function stop(why) {
  console.error(`error: ${why}`);
  process.exit(1);
}

const files = names(built).map((name) => {
  const bytes = readFileSync(join(built, name));
  return { name, bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
});
const manifest = `${JSON.stringify(
  files.map(({ name, bytes, sha256 }) => ({ name, bytes: bytes.length, sha256 })),
  null,
  2,
)}\n`;

if (isVerifying) {
  const committed = readFileSync(join(dist, "manifest.json"), "utf8");
  if (committed !== manifest) {
    const [was, is] = [JSON.parse(committed), JSON.parse(manifest)].map(
      (list) => new Map(list.map(({ name, sha256 }) => [name, sha256])),
    );
    const differ = [...new Set([...was.keys(), ...is.keys()])].filter(
      (name) => was.get(name) !== is.get(name),
    );
    stop(`web/dist is not what the sources build to: ${differ.join(", ")}; cargo xtask web`);
  }
  for (const { name, sha256 } of JSON.parse(committed)) {
    const path = join(dist, name);
    const bytes = name === "index.html" ? readFileSync(path) : gunzipSync(readFileSync(`${path}.gz`));
    if (createHash("sha256").update(bytes).digest("hex") !== sha256) {
      stop(`web/dist/${name} is not what its manifest says`);
    }
  }
  const expected = new Set([
    "manifest.json",
    "files.rs",
    ...files.map(({ name }) => (name === "index.html" ? name : `${name}.gz`)),
  ]);
  const stray = names(dist).filter((name) => !expected.has(name));
  if (stray.length > 0) stop(`web/dist holds what nothing builds: ${stray.join(", ")}`);
  console.log(`web/dist reproduced: ${files.length} files`);
} else {
  rmSync(dist, { recursive: true, force: true });
  const rows = [];
  for (const { name, bytes } of files) {
    const packed = name === "index.html" ? bytes : gzipSync(bytes, { level: 9 });
    const stored = name === "index.html" ? name : `${name}.gz`;
    mkdirSync(dirname(join(dist, stored)), { recursive: true });
    writeFileSync(join(dist, stored), packed);
    if (name.includes("core-development")) rows.push('    #[cfg(feature = "development")]');
    rows.push(`    ("${stored}", include_bytes!("${stored}")),`);
    console.log(`${name}: ${bytes.length} bytes, packed ${packed.length}`);
    if (name.endsWith(".wasm") && packed.length > CORE_MAX) stop(`${name} is over its budget`);
    if (name.endsWith(".js") && packed.length > SCRIPT_MAX) stop(`${name} is over its budget`);
  }
  writeFileSync(join(dist, "manifest.json"), manifest);
  rows.push('    ("manifest.json", include_bytes!("manifest.json")),');
  writeFileSync(
    join(dist, "files.rs"),
    `// Written by \`cargo xtask web\`: the page's files, as \`grail-backend\` embeds them.\n&[\n${rows.join("\n")}\n]\n`,
  );
}
