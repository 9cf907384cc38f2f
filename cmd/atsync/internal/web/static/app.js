// Refreshes the page's #live part through htmx and draws charts. Everything on a page is there without it.
(function () {
  "use strict";
  var every = 15000;
  var charts = [];

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function compact(self, values) {
    return values.map(function (v) {
      if (v === null) return "";
      if (v >= 1e6) return +(v / 1e6).toFixed(2) + "M";
      if (v >= 1e3) return +(v / 1e3).toFixed(2) + "k";
      return Number.isInteger(v) ? String(v) : "";
    });
  }

  var months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  function days(self, values) {
    return values.map(function (v) {
      var d = new Date(v * 1e3);
      return d.getUTCDate() + " " + months[d.getUTCMonth()];
    });
  }

  function axes() {
    var base = { stroke: color("--dim"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return [Object.assign({ size: 28, space: 70, values: days }, base, { grid: { show: false } }), Object.assign({ size: 52, values: compact }, base)];
  }

  function options(kind, width) {
    var opts = { width: width, height: 170, tzDate: function (ts) { return uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC"); },
      legend: { show: false }, cursor: { drag: { x: false, y: false } }, axes: axes(), series: [{}] };
    if (kind === "rows") {
      opts.scales = { y: { range: function (u, min, max) { var pad = Math.max((max - min) * 0.15, 1); return [Math.max(0, Math.floor(min - pad)), Math.ceil(max + pad)]; } } };
      opts.series.push({ stroke: color("--accent"), width: 1.5, fill: color("--accent-soft"), points: { show: false } });
      return opts;
    }
    opts.scales = { y: { range: function (u, min, max) { return [0, Math.max(max, 1)]; } } };
    ["--accent", "--accent-mid", "--bad"].forEach(function (name) {
      opts.series.push({ stroke: color(name), fill: color(name), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.7, 14] }) });
    });
    return opts;
  }

  // stacked turns inserted, updated, deleted into tops of bars, the tallest first so that the others lie before it.
  function stacked(data) {
    var ins = data[1], upd = data[2], del = data[3];
    var two = upd.map(function (v, i) { return v + del[i]; });
    var three = ins.map(function (v, i) { return v + two[i]; });
    return [data[0], three, two, del];
  }

  function draw() {
    charts.forEach(function (c) { c.destroy(); });
    charts = [];
    if (!window.uPlot) return;
    document.querySelectorAll(".chart").forEach(function (el) {
      if (!el.dataset.series) return;
      var data = JSON.parse(el.dataset.series);
      if (el.dataset.kind === "changes") data = stacked(data);
      el.textContent = "";
      charts.push(new uPlot(options(el.dataset.kind, el.clientWidth), data, el));
    });
  }

  // What a person has opened, scrolled to or points to stays so when the page is refreshed.
  var kept = null;
  document.addEventListener("htmx:beforeSwap", function () {
    kept = { open: [], left: [] };
    document.querySelectorAll("#live details[open]").forEach(function (d) { kept.open.push(d.id); });
    document.querySelectorAll("#live .scroll").forEach(function (d) { kept.left.push(d.scrollLeft); });
  });
  document.addEventListener("htmx:afterSettle", function () {
    if (!kept) return;
    kept.open.forEach(function (id) { var d = document.getElementById(id); if (d) d.open = true; });
    document.querySelectorAll("#live .scroll").forEach(function (d, i) { d.scrollLeft = kept.left[i] || 0; });
    kept = null;
    draw();
  });
  document.addEventListener("htmx:responseError", function (e) {
    if (e.detail.xhr.status === 401) location.reload();
  });

  function refresh() {
    var box = document.getElementById("refresh");
    var live = document.getElementById("live");
    if (!window.htmx || !live || !box || !box.checked || document.hidden) return;
    if (String(document.getSelection()) !== "" || live.querySelector(".chart:hover")) return;
    window.htmx.trigger(live, "refresh");
  }

  document.addEventListener("DOMContentLoaded", function () {
    var label = document.querySelector(".refresh");
    if (label && document.querySelector("#live[hx-get]")) label.hidden = false;
    draw();
    setInterval(refresh, every);
    var timer = 0;
    window.addEventListener("resize", function () { clearTimeout(timer); timer = setTimeout(draw, 150); });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  });
})();
