"""How the page looks beyond Streamlit's theme: one column that is calm on a desk and fits on a telephone."""

STYLE = """<style>
.block-container { max-width: 1240px; padding: 1rem 1.5rem 3rem; }
[data-testid="stHeader"] { background: transparent; }
/* Its Stop would stop the page, not the run. */
[data-testid="stStatusWidget"] { display: none; }
h1 { font-size: 1.9rem !important; letter-spacing: -.02em; padding: 0 0 .5rem !important; }
h2 { font-size: 1.2rem !important; padding: .2rem 0 !important; }
.badge { display: inline-block; padding: .12rem .65rem; border: 1px solid currentColor; border-radius: 1rem;
  opacity: .75; font-size: .8rem; vertical-align: middle; margin-left: .5rem; white-space: nowrap; }
.lead { margin: -.6rem 0 0; opacity: .75; }
hr { margin: .8rem 0 !important; }
.key { display: inline-flex; align-items: center; gap: .45rem; margin-right: 1.1rem; font-size: .85rem; opacity: .85; }
.key i { width: .9rem; height: .9rem; border-radius: 3px; flex: none; }
.key .line { background: none !important; border: 3px solid; }
[data-testid="stImage"] img, [data-testid="stImageContainer"] img { width: 100%; border-radius: 8px; background: #000; }
[data-testid="stMetricValue"] { font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.foot { opacity: .75; font-size: .85rem; max-width: 52rem; }
@media (max-width: 640px) {
  .block-container { padding: 1rem .8rem 3rem; }
  h1 { font-size: 1.5rem !important; }
  .badge { margin-left: 0; margin-top: .3rem; }
}
</style>"""
