
"use strict";
const at = (id) => document.getElementById(id);
const put = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };

// The document's times count from when it was made; between two documents the page goes on counting.
let latest = null;
let received = 0;
const waited = () => performance.now() - received;

function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return Math.max(0, Math.round(ms)) + " ms";
  const s = ms / 1000;
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 120) return Math.round(s) + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  return (s / 3600).toFixed(1) + " h";
}
const number = (n) => n.toLocaleString("en");
const fine = (us) => us < 1000 ? us + " µs" : (us / 1000).toFixed(us < 10000 ? 2 : 1) + " ms";

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Written anew only where something differs, so that a selection or a screen reader is not disturbed.
function facts(id, pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const key = JSON.stringify(shown);
  if (at(id).dataset.key === key) return;
  at(id).dataset.key = key;
  at(id).replaceChildren(...shown.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
}

function rows(id, cells) {
  const key = JSON.stringify(cells);
  if (at(id).dataset.key === key) return;
  at(id).dataset.key = key;
  at(id).replaceChildren(...cells.map((row) => {
    const made = element("tr");
    made.append(...row.map(([text, className]) => element("td", text, className)));
    return made;
  }));
}

function state(doc) {
  const words = { green: "all is well", amber: "something fails", red: "requests are refused" };
  at("state").className = "card state " + doc.state;
  at("state").dataset.state = doc.state;
  put("service", doc.service);
  put("level", doc.state + ": " + words[doc.state]);
  put("reason", doc.reason);
  at("advice").hidden = !doc.advice;
  put("advice", doc.advice || "");
  const title = doc.service + " – " + doc.state;
  if (document.title !== title) document.title = title;
}

function life() {
  const token = latest && latest.token;
  if (!token) return;
  const bar = at("life");
  if (token.lifetime_ms === null) {
    for (const id of ["life-age", "life-margin", "life-leeway"]) at(id).style.width = "0";
    at("life-now").style.left = "0";
    bar.setAttribute("aria-valuenow", "0");
    bar.setAttribute("aria-valuetext", "there is no token");
    put("life-text", "there is no token");
    return;
  }
  const past = waited();
  const total = Math.max(1, token.lifetime_ms);
  const age = Math.min(total, token.age_ms + past);
  const left = token.expires_in_ms - past;
  const refreshLeft = token.refresh_after_ms - age;
  const leewayLeft = token.leeway_after_ms - age;
  const share = (ms) => (100 * Math.min(1, Math.max(0, ms / total))).toFixed(2) + "%";
  at("life-age").style.width = share(age);
  at("life-margin").style.width = share(total - token.refresh_after_ms);
  at("life-leeway").style.width = share(total - token.leeway_after_ms);
  at("life-now").style.left = "calc(" + share(age) + " - 2px)";
  const percent = Math.round(100 * age / total);
  bar.setAttribute("aria-valuenow", String(percent));
  const text = span(age) + " old; " +
    (refreshLeft > 0 ? "refresh in " + span(refreshLeft) : "refresh is due") + "; " +
    (leewayLeft > 0 ? "leeway in " + span(leewayLeft) : "inside the leeway") + "; " +
    (left > 0 ? "expires in " + span(left) : "expired");
  bar.setAttribute("aria-valuetext", text);
  put("life-text", text);
}

function token(doc) {
  at("token").hidden = !doc.token;
  if (!doc.token) return;
  const t = doc.token;
  life();
  facts("token-facts", [
    ["freshness", t.freshness || "no token"],
    ["lives", span(t.lifetime_ms)],
    ["asked from", t.token_endpoint || t.issuer],
    ["as", t.client_id],
    ["scopes", t.scopes.join(" ")],
    ["token requests", number(t.requests.ok) + " answered, " + number(t.requests.failed) + " failed"],
    ["last error", t.last_error],
    ["next attempt", t.next_attempt_in_ms === null ? null : "in " + span(t.next_attempt_in_ms)],
    ["provider's clock", t.provider_clock_ahead_s ? t.provider_clock_ahead_s + " s ahead" : null],
  ]);
}

function timeline(title, events) {
  at("timeline").hidden = false;
  put("timeline-title", title);
  const kind = (e) => e.outcome === "ok" || e.outcome === "unchanged" ? "ok" : e.outcome === "changed" ? "changed" : "failed";
  const oldest = Math.max(60000, ...events.map((e) => e.age_ms));
  at("line").replaceChildren(...events.map((e) => {
    const mark = element("i", undefined, kind(e));
    mark.style.left = (99 - 98 * e.age_ms / oldest).toFixed(2) + "%";
    return mark;
  }));
  const failed = events.filter((e) => kind(e) === "failed").length;
  put("line-text", "the last " + span(oldest) + ": " + events.length + " in all, " + failed + " failed");
  const what = (e) => e.text || [
    e.lifetime_ms ? "a token for " + span(e.lifetime_ms) : "",
    ...(e.added || []).map((kid) => "+ " + kid),
    ...(e.removed || []).map((kid) => "− " + kid),
  ].filter(Boolean).join(", ");
  rows("line-rows", events.slice().reverse().map((e) => [
    [span(e.age_ms)], [e.outcome, kind(e)], [span(e.took_ms)], [what(e)],
  ]));
}

function keys(doc) {
  at("keys").hidden = !doc.issuers;
  if (!doc.issuers) return;
  rows("key-rows", doc.issuers.flatMap((issuer) => issuer.keys.map((key) => [
    [key.kid || "(none)"], [key.alg + (key.revoked ? ", revoked" : "")], [span(key.age_ms)],
  ])));
  facts("key-facts", doc.issuers.flatMap((issuer) => [
    ["issuer", issuer.issuer],
    ["source", issuer.source],
    ["confirmed", issuer.confirmed_ms === null ? "never" : span(issuer.confirmed_ms) + " ago"],
    ["next fetch", "in " + span(issuer.next_fetch_in_ms)],
    ["budget", issuer.fetches_left + " of 2 fetches for unknown keys"],
    ["not usable", issuer.skipped_keys || null],
    ["last error", issuer.last_error],
  ]).concat([["audience", doc.audience || "any"]]));
}

function validations(doc) {
  at("validations").hidden = !doc.validations;
  if (!doc.validations) return;
  const v = doc.validations;
  const kinds = ["accepted", "refused", "undecided"];
  const all = kinds.reduce((sum, kind) => sum + v[kind], 0);
  at("outcomes").replaceChildren(...kinds.map((kind) => {
    const share = element("i", undefined, kind);
    share.style.width = (all ? 100 * v[kind] / all : 0) + "%";
    return share;
  }));
  at("outcomes").setAttribute("aria-label", kinds.map((kind) => v[kind] + " " + kind).join(", "));
  facts("validation-facts", kinds.map((kind) => [kind, number(v[kind])]).concat(
    Object.entries(v.reasons).sort((a, b) => b[1] - a[1]).slice(0, 6).map(([reason, n]) => ["· " + reason, number(n)])));
  const r = doc.verified_cache;
  at("hits-title").hidden = at("hits").hidden = at("hit-text").hidden = !r;
  if (!r) return;
  const rate = r.looked_up ? 100 * r.found / r.looked_up : 0;
  at("hit-rate").style.width = rate + "%";
  at("hits").setAttribute("aria-valuenow", rate.toFixed(0));
  put("hit-text", rate.toFixed(1) + " % of " + number(r.looked_up) + " found; " +
    number(r.entries) + " of " + number(r.capacity) + " places taken");
}

function calls(doc) {
  at("downstream").hidden = !doc.downstream;
  if (!doc.downstream) return;
  const d = doc.downstream;
  facts("call-facts", [["to", d.url]]
    .concat(Object.entries(d.outcomes).filter(([name, n]) => n || name === "ok").map(([name, n]) => [name, number(n)]))
    .concat([["repeated", d.repeats ? number(d.repeats) : null],
      ["last failure", d.last_failure ? span(d.last_failure.age_ms) + " ago: " + d.last_failure.text : null]]));
}

function http(doc) {
  const h = doc.http;
  facts("http-facts", Object.entries(h.answers).map(([name, n]) => [name, number(n)])
    .concat(["shed", "timeouts", "panics", "evicted"].filter((name) => h[name]).map((name) => [name, number(h[name])]))
    .concat([["up for", span(doc.uptime_ms)]]));
}

function show(doc) {
  latest = doc;
  received = performance.now();
  state(doc);
  token(doc);
  if (doc.token) timeline("Token requests", doc.token.history);
  if (doc.issuers && doc.issuers.length) timeline("Key fetches", doc.issuers[0].history);
  keys(doc);
  validations(doc);
  calls(doc);
  http(doc);
}

function outcome(result) {
  const head = element("p", "answered " + result.status + " after " + fine(result.total_us) + ", as " + result.request_id);
  const list = element("ol", undefined, "hops");
  let before = 0;
  for (const hop of result.hops) {
    const item = element("li");
    const track = element("span", undefined, "track");
    const part = element("i");
    part.style.left = (100 * before / Math.max(1, result.total_us)) + "%";
    part.style.width = (100 * hop.took_us / Math.max(1, result.total_us)) + "%";
    track.append(part);
    item.append(element("span", hop.to), element("span", fine(hop.took_us)), track);
    list.append(item);
    before += hop.took_us;
  }
  at("trial").replaceChildren(head, list);
}

at("try").addEventListener("click", async () => {
  at("try").disabled = true;
  try {
    const response = await fetch("/trial", { method: "POST" });
    if (!response.ok) throw new Error("the service answered " + response.status);
    outcome(await response.json());
  } catch (error) {
    at("trial").replaceChildren(element("p", "no test request: " + error.message));
  }
  at("try").disabled = false;
});

const source = new EventSource("/events");
source.addEventListener("status", (event) => { put("link", "live"); show(JSON.parse(event.data)); });
source.addEventListener("error", () => {
  put("link", "no connection to the service; what is shown is " + span(waited()) + " old");
});
setInterval(life, 200);

