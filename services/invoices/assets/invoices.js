// Pages work without this. It shows what others change, and leaves no page of a session that has ended.
(() => {
  "use strict";
  // A page that the browser kept may be of a session that has ended.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  const live = () => document.querySelector("[data-events]");
  if (!live()) return;
  // Not to a page that needs a session: the provider may still know the person, who would be signed in again unasked.
  const leave = () => location.replace("/");
  const show = (next) => {
    const last = live();
    if (last.isEqualNode(next)) return;
    const focused = document.activeElement;
    last.replaceWith(next);
    if (!last.contains(focused)) return;
    const same = (element) => element.outerHTML === focused.outerHTML;
    [...next.querySelectorAll("a, button")].find(same)?.focus();
  };
  const load = async () => {
    const headers = { "X-Session-Activity": "none" };
    const answer = await fetch(location.href, { headers }).catch(() => null);
    // What it cannot show now, the next event or the next stream brings.
    if (!answer || answer.status >= 500) return;
    if (answer.status === 401) return leave();
    const text = await answer.text().catch(() => null);
    if (text === null) return;
    const next = new DOMParser().parseFromString(text, "text/html").querySelector("[data-events]");
    if (answer.ok && next) show(next);
    else location.reload();
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
      if (answer && answer.status === 401) leave();
    });
  };
  open();
  addEventListener("pagehide", () => source.close());
})();
