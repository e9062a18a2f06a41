// Pages work without this. It shows what others change, and leaves no page of a session that has ended.
(() => {
  "use strict";
  // A page that the browser kept may be of a session that has ended.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  const live = () => document.querySelector("[data-events]");
  if (!live()) return;
  const load = async () => {
    const headers = { "X-Session-Activity": "none" };
    try {
      const answer = await fetch(location.href, { headers, redirect: "manual" });
      if (!answer.ok) throw new Error("no page");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("[data-events]");
      if (next) live().replaceWith(next);
    } catch {
      location.reload();
    }
  };
  // One after the other: an older answer must not replace a newer one.
  let running = false;
  let again = false;
  const refresh = async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await load();
    }
    running = false;
  };
  let source;
  const open = () => {
    source = new EventSource(live().dataset.events);
    // What happened before it opened, or while it was away, comes by no event.
    source.addEventListener("open", refresh);
    source.addEventListener("invoice.created", refresh);
    source.addEventListener("invoice.changed", refresh);
    source.addEventListener("error", async () => {
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused for good; a server that is only busy must not be asked again and again.
      const answer = await fetch("/api/auth/session").catch(() => null);
      if (answer && answer.status === 401) location.reload();
    });
  };
  open();
  addEventListener("pagehide", () => source.close());
})();
