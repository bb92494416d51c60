/* What every page does where scripts run: instants in the viewer's zone, the theme, what waits, what went wrong. Pages work without. */
(() => {
  "use strict";
  const shown = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
  const within = (node) => (node instanceof Element || node instanceof Document ? node : document);

  function times(root) {
    for (const each of within(root).querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const local = shown.format(at);
      if (each.textContent === local) continue;
      each.title = each.dateTime;
      each.textContent = local;
    }
  }

  function theme() {
    const buttons = [...document.querySelectorAll("[data-choose-theme]")];
    const mark = (chosen) => buttons.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.chooseTheme === chosen)));
    mark(document.documentElement.dataset.theme || "");
    for (const each of buttons) {
      each.addEventListener("click", () => {
        const chosen = each.dataset.chooseTheme;
        if (chosen) document.documentElement.dataset.theme = chosen;
        else delete document.documentElement.dataset.theme;
        document.cookie = `perdure_theme=${chosen}; path=/; samesite=lax; max-age=${chosen ? 31536000 : 0}`;
        mark(chosen);
        document.dispatchEvent(new CustomEvent("perdure:theme"));
      });
    }
  }

  function counts(told) {
    for (const each of document.querySelectorAll("[data-count]")) {
      const n = told[each.dataset.count];
      if (typeof n !== "number") continue;
      each.textContent = n.toLocaleString();
      each.hidden = n === 0;
    }
  }

  function toast(text) {
    const box = document.getElementById("toasts");
    if (!box) return;
    const said = document.createElement("p");
    said.className = "notice bad";
    said.textContent = text;
    box.append(said);
    setTimeout(() => said.remove(), 8000);
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    } catch {
      toast("The browser does not let this page copy.");
    }
  }

  function ready() {
    times(document);
    theme();
    for (const each of document.querySelectorAll(".tabs [aria-current]")) each.closest("ul").scrollLeft = each.offsetLeft - each.closest("ul").offsetLeft - 48;
    for (const each of document.querySelectorAll("[data-scripted]")) each.hidden = false;
    for (const each of document.querySelectorAll("[data-zone]")) each.textContent = zone;
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy]");
      if (button) copy(button);
      for (const menu of document.querySelectorAll("details.rest[open]")) if (!menu.contains(event.target)) menu.open = false;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") for (const menu of document.querySelectorAll("details.rest[open]")) menu.open = false;
    });
  }

  document.addEventListener("live", (event) => {
    try { counts(JSON.parse(event.detail.data)); } catch { /* a message of another release */ }
  });
  document.addEventListener("htmx:after:swap", (event) => times(event.target));
  document.addEventListener("htmx:after:settle", (event) => times(event.target));
  document.addEventListener("htmx:response:error", (event) => {
    const status = event.detail?.ctx?.response?.status;
    if (status === 401) return location.reload();
    toast(status ? `This was not answered (${status}). Load the page again.` : "This was not answered. Load the page again.");
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
