// Live updates, the theme, and copying. Without this file everything works by reloading.
"use strict";
(() => {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } };
  const apply = (theme) => { if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme; };
  apply(stored());

  const dress = () => {
    for (const pre of document.querySelectorAll("pre.copy")) {
      if (!navigator.clipboard || pre.querySelector(".copybutton")) continue;
      const button = document.createElement("button");
      button.type = "button"; button.className = "copybutton"; button.textContent = "Copy";
      const text = pre.textContent;
      button.addEventListener("click", async () => { await navigator.clipboard.writeText(text); button.textContent = "Copied"; });
      pre.append(button);
    }
  };

  // What a person is doing stays as it is: an open fold, a text that is being written, the focus.
  const busy = () => {
    const at = document.activeElement;
    return at && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) && at.closest("main");
  };
  const keep = () => ({
    folds: [...document.querySelectorAll("main details")].map((d) => d.open),
    texts: [...document.querySelectorAll("main input:not([type=hidden]), main textarea, main select")].map((i) => [i.name, i.value]),
  });
  const restore = (kept) => {
    document.querySelectorAll("main details").forEach((d, i) => { if (i in kept.folds) d.open = kept.folds[i]; });
    document.querySelectorAll("main input:not([type=hidden]), main textarea, main select").forEach((input, i) => {
      const [name, value] = kept.texts[i] || [];
      if (name === input.name && value) input.value = value;
    });
  };
  let asked = 0, waiting = false;
  const refresh = async () => {
    if (busy()) { waiting = true; return; }
    waiting = false;
    const turn = ++asked;
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
    if (turn !== asked) return;
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["main", "#banner"]) {
      const [old, next] = [document.querySelector(part), fresh.querySelector(part)];
      if (!old || !next || old.innerHTML === next.innerHTML) continue;
      const kept = keep();
      old.replaceWith(next);
      restore(kept);
    }
    dress();
  };
  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(() => refresh().catch(() => {}), 250); };

  addEventListener("DOMContentLoaded", () => {
    dress();
    const light = document.querySelector(".live");
    const say = (state, text) => { light.dataset.state = state; light.title = text; light.querySelector("span").textContent = text; };
    const button = document.querySelector("#theme");
    if (button) {
      const name = () => { button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[stored()]; };
      button.hidden = false; name();
      button.addEventListener("click", () => {
        const next = themes[(themes.indexOf(stored()) + 1) % themes.length];
        try { localStorage.setItem("theme", next); } catch { /* Kept for this page only. */ }
        apply(next); name();
      });
    }
    document.addEventListener("focusout", () => { if (waiting) setTimeout(soon, 0); });
    if (!light || document.body.dataset.live !== "yes") return;
    let source = null, lost = false;
    const connect = () => {
      source = new EventSource("/api/v1/events");
      source.addEventListener("begun", () => { say("live", "Live"); if (lost) { lost = false; soon(); } });
      source.addEventListener("change", soon);
      source.addEventListener("error", () => {
        lost = true; say("away", "Reconnecting");
        if (source.readyState === EventSource.CLOSED) { setTimeout(connect, 5000); soon(); }
      });
    };
    connect();
    addEventListener("pagehide", () => source.close());
  });
})();
