"""How the report looks: light and dark, wide and narrow; no font and no picture from elsewhere."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #f7f7f4; --ink: #1c2024; --quiet: #5b636b; --line: #d9dad5; --card: #ffffff; --faint: #ecece7;
  --shade: #0003; --warn-paper: #fff3d6; --warn-ink: #5a4300;
  --s0: #0b6e8f; --s1: #b85c00; --s2: #5f4bb6; --s3: #2f7d4f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121416; --ink: #e8eaec; --quiet: #9aa3ab; --line: #2c3135; --card: #1a1d20; --faint: #24292d;
    --shade: #fff4; --warn-paper: #33290f; --warn-ink: #f4dd9f;
    --s0: #6cc7e6; --s1: #f2a65a; --s2: #b3a4ff; --s3: #7fd1a0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1180px; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { margin: .5rem 0 .5rem; font-size: clamp(1.6rem, 4.5vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em;
  overflow-wrap: anywhere; }
h2 { margin: 0 0 .3rem; font-size: 1.2rem; }
h3 { margin: 0 0 .2rem; font-size: 1rem; }
section { margin-top: 2.6rem; }
.badge { display: inline-block; margin: 0; padding: .2rem .7rem; border: 1px solid currentColor; border-radius: 99px;
  color: var(--quiet); font-size: .82rem; }
.lead { margin: 0; max-width: 52rem; font-size: 1.08rem; color: var(--quiet); }
.lead b { color: var(--ink); }
.caution { max-width: 52rem; margin: 1.2rem 0 0; padding: .9rem 1.1rem; border-radius: 8px;
  background: var(--warn-paper); color: var(--warn-ink); }
.small { max-width: 52rem; margin: .3rem 0 .7rem; color: var(--quiet); font-size: .9rem; }
.tiles { display: grid; gap: 12px; margin-top: 1.6rem; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); }
.tile { padding: .9rem 1.1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile p { margin: 0; }
.tile .what { color: var(--quiet); font-size: .86rem; }
.tile .figure { font-size: 1.75rem; font-weight: 650; line-height: 1.25; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.tile .range { color: var(--quiet); font-size: .86rem; font-variant-numeric: tabular-nums; }
.tile.first { border-color: var(--s0); box-shadow: inset 0 3px 0 var(--s0); }
.tile.t1 { border-color: var(--s1); box-shadow: inset 0 3px 0 var(--s1); }
.tile.t2 { border-color: var(--s2); box-shadow: inset 0 3px 0 var(--s2); }
.tile.t3 { border-color: var(--s3); box-shadow: inset 0 3px 0 var(--s3); }
.charts { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
.chart { margin: 0; padding: 1rem 1.1rem .7rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; min-width: 0; }
.chart .small { margin-bottom: .4rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font: 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
svg .grid { stroke: var(--line); stroke-width: .7; }
svg .axis, svg .guide { stroke: var(--quiet); stroke-width: 1; }
svg .guide { stroke-dasharray: 4 3; }
svg .link { stroke: var(--quiet); stroke-width: 1; opacity: .5; }
svg .column { fill: var(--faint); }
svg .mark { stroke: var(--card); stroke-width: .8; }
svg .curve { fill: none; stroke-width: 1.6; }
svg .whisker { stroke-width: 2; }
svg .mark.s0 { fill: var(--s0); } svg .mark.s1 { fill: var(--s1); }
svg .mark.s2 { fill: var(--s2); } svg .mark.s3 { fill: var(--s3); }
svg .curve.s0, svg .whisker.s0, svg .bias.s0 { stroke: var(--s0); }
svg .curve.s1, svg .whisker.s1, svg .bias.s1 { stroke: var(--s1); }
svg .curve.s2, svg .whisker.s2, svg .bias.s2 { stroke: var(--s2); }
svg .curve.s3, svg .whisker.s3, svg .bias.s3 { stroke: var(--s3); }
svg .limit { stroke-dasharray: 5 4; opacity: .75; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; margin: .2rem 0 .6rem; font-size: .9rem; }
.legend span { display: inline-flex; align-items: center; gap: .45rem; }
.legend svg { width: 14px; height: 14px; }
.legend i { width: .95rem; height: .95rem; border-radius: 3px; }
.legend .ring { border: 3px solid; }
/* The right edge is shaded where more lies beyond it; at the table's end the paper covers the shade. */
.scroll { overflow-x: auto; background:
  linear-gradient(to left, var(--paper) 50%, transparent) right / 2rem 100% no-repeat local,
  linear-gradient(to left, var(--shade), transparent) right / 1rem 100% no-repeat; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem 1.4rem .42rem 0; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
th:first-child { position: sticky; left: 0; background: var(--paper); text-align: left; }
th { font-weight: 500; }
thead th { color: var(--quiet); font-size: .88rem; }
td .range { color: var(--quiet); font-size: .88rem; }
tr.headline th, tr.headline td { font-weight: 650; }
tr.headline .range { font-weight: 400; }
.patient { margin-top: 1.4rem; }
.pictures { display: grid; gap: 12px; margin-top: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(220px, 46%), 1fr)); }
figure.picture { margin: 0; overflow: hidden; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; max-width: 360px; }
img { display: block; width: 100%; height: auto; background: #000; }
figcaption { padding: .45rem .7rem; color: var(--quiet); font-size: .88rem; overflow-wrap: anywhere; }
details { margin-top: .8rem; }
summary { cursor: pointer; padding: .3rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; margin: .6rem 0 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: .5rem 0 0; padding-left: 1.2rem; max-width: 52rem; }
li { margin: .3rem 0; }
@media (max-width: 480px) {
  body { padding: 1.4rem 1rem 3rem; }
  th, td { padding-right: .9rem; font-size: .9rem; }
  th:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8.2rem; line-height: 1.3; }
  .stacked, .stacked :is(tbody, tr, th) { display: block; }
  .stacked thead { display: none; }
  .stacked tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .stacked :is(th, td) { padding: .1rem 0; border: 0; }
  .stacked th { font-weight: 600; }
  .stacked td { display: flow-root; white-space: normal; }
  .stacked td .range { white-space: nowrap; }
  .stacked td::before { content: attr(data-head); float: left; padding-right: .8rem; overflow-wrap: anywhere;
    color: var(--quiet); font-weight: 400; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; }
  .tile { padding: .7rem .8rem; }
  .tile .figure { font-size: 1.45rem; }
  .chart { padding: .8rem .7rem .5rem; }
  svg text { font-size: 13px; }
  .legend svg text { font-size: 11px; }
  :is(.tile, figure.picture):last-child:nth-child(odd) { grid-column: 1 / -1; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
@media print { body { max-width: none; } .chart, .tile, .patient { break-inside: avoid; } }
"""
