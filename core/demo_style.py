"""How the demo's page looks: light and dark, wide and narrow; no font and no picture from elsewhere."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #f7f7f4; --ink: #1c2024; --quiet: #5b636b; --line: #d9dad5; --card: #ffffff; --accent: #0b6e8f;
  --warn-paper: #fff3d6; --warn-ink: #5a4300;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121416; --ink: #e8eaec; --quiet: #9aa3ab; --line: #2c3135; --card: #1a1d20; --accent: #6cc7e6;
    --warn-paper: #33290f; --warn-ink: #f4dd9f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1160px; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { margin: .4rem 0 .5rem; font-size: clamp(1.7rem, 4.5vw, 2.6rem); line-height: 1.15; letter-spacing: -.02em; }
h2 { margin: 0 0 .4rem; font-size: 1.2rem; }
a { color: var(--accent); }
section { margin-top: 2.5rem; }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: .6rem 0; padding: .8rem 1rem; overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
.badge { display: inline-block; margin: 0; padding: .2rem .7rem; border: 1px solid currentColor; border-radius: 1rem;
  color: var(--quiet); font-size: .82rem; }
.lead { margin: 0; font-size: 1.1rem; color: var(--quiet); }
.lead b { color: var(--ink); }
.caution { max-width: 46rem; margin: 1.2rem 0 0; padding: .9rem 1.1rem; border-radius: 8px;
  background: var(--warn-paper); color: var(--warn-ink); }
.small { max-width: 46rem; margin: .5rem 0; color: var(--quiet); font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem 1.4rem .45rem 0; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child { text-align: left; }
th { font-weight: 500; }
thead th { color: var(--quiet); font-size: .88rem; }
tfoot th, tfoot td { font-weight: 650; border-bottom: 0; }
tfoot .quiet th, tfoot .quiet td { padding-top: 0; color: var(--quiet); font-weight: 400; font-size: .88rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: 2.5rem 0 -1.4rem; font-size: .9rem; }
.legend span { display: inline-flex; align-items: center; gap: .5rem; }
.legend i { width: .95rem; height: .95rem; border-radius: 3px; }
.legend .ring { border: 3px solid; }
.pictures { display: grid; gap: 12px; margin-top: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(150px, 45%), 1fr)); }
figure { margin: 0; overflow: hidden; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
img { display: block; width: 100%; height: auto; background: #000; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .6rem;
  padding: .45rem .7rem; color: var(--quiet); font-size: .88rem; }
figcaption b { color: var(--ink); font-variant-numeric: tabular-nums; }
@media (max-width: 480px) {
  body { padding: 1.4rem 1rem 3rem; }
  th, td { padding-right: .7rem; font-size: .86rem; }
  thead th, tfoot .quiet th { white-space: normal; vertical-align: bottom; }
}
"""
