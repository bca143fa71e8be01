import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** Where the API is while the page is worked on: `npx vite` with `GRAIL_API=http://127.0.0.1:8080`. */
const environment = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env;
const api = environment?.["GRAIL_API"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte()],
  build: {
    // Nothing is inlined: the page's policy takes scripts and styles from files alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    outDir: "built/page",
    emptyOutDir: true,
    target: "es2022",
  },
  server: { proxy: { "/v1": api, "/healthz": api, "/config.json": api } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
