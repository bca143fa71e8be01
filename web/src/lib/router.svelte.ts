/** Which screen a path is. Paths are links that can be kept: nothing of a request is in memory only. */

export type Route =
  | { screen: "home" }
  | { screen: "peg-in" }
  | { screen: "peg-out" }
  | { screen: "requests" }
  | { screen: "request"; id: string }
  | { screen: "reclaim"; id: string | null }
  | { screen: "operators" }
  | { screen: "reserves" }
  | { screen: "settings" }
  | { screen: "about" }
  | { screen: "not-found"; path: string };

const ID = /^[0-9a-f]{64}$/;

/** The route of a path; a path that is none is `not-found`. */
export function routeOf(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second, ...rest] = parts;
  const notFound: Route = { screen: "not-found", path };
  if (rest.length > 0) return notFound;
  if (first === undefined) return { screen: "home" };
  if (second === undefined) {
    switch (first) {
      case "peg-in":
      case "peg-out":
      case "requests":
      case "operators":
      case "reserves":
      case "settings":
      case "about":
        return { screen: first };
      case "reclaim":
        return { screen: "reclaim", id: null };
      default:
        return notFound;
    }
  }
  if (!ID.test(second)) return notFound;
  if (first === "requests") return { screen: "request", id: second };
  if (first === "reclaim") return { screen: "reclaim", id: second };
  return notFound;
}

class Router {
  route: Route = $state({ screen: "home" });

  start(): void {
    this.route = routeOf(location.pathname);
    addEventListener("popstate", () => this.show(location.pathname));
    // Links are links; only what stays in the page is taken over.
    document.addEventListener("click", (event) => {
      if (event.defaultPrevented || event.button !== 0) return;
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (!link || link.origin !== location.origin || link.target || link.download) return;
      if (link.pathname.startsWith("/v1/") || link.pathname === "/openapi.json") return;
      event.preventDefault();
      this.go(link.pathname);
    });
  }

  go(path: string): void {
    if (path !== location.pathname) history.pushState(null, "", path);
    this.show(path);
    scrollTo(0, 0);
  }

  private show(path: string): void {
    this.route = routeOf(path);
    // Readers of the screen begin where the new screen does.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
  }
}

export const router = new Router();
