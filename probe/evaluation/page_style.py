"""The style sheet of a page: light or dark as the reader's system is, on wide and narrow screens.

Colours are those of the interactive page. Series have colours of Okabe and Ito's palette, brighter
on a dark page, where the palette's darkest ones would hardly be seen.
"""

MOST_WIDTH: dict[str, int] = {"many": 940, "few": 560}
"""Pixels of a page up to which tables of many and of few columns show each row as a block."""

STACKED = """
@media (max-width: @WIDTH@px) {
  .@KIND@ { border: 0; background: none; overflow: visible; }
  .@KIND@ table, .@KIND@ tbody { display: block; } .@KIND@ thead { display: none; }
  .@KIND@ tr { display: grid; grid-template-columns: repeat(auto-fit, minmax(104px, 1fr));
    gap: 8px 14px; margin: 0 0 10px; padding: 10px 12px; border: 1px solid var(--line);
    border-radius: 10px; background: var(--surface); }
  .@KIND@ td { display: block; padding: 0; border: 0; }
  .@KIND@ td:first-child, .@KIND@ td:not(.number) { grid-column: 1 / -1; }
  .@KIND@ td:not(:first-child)::before { content: attr(data-name); font-size: 12px;
    color: var(--muted); white-space: normal; }
  .@KIND@ td.number::before { display: block; }
  .@KIND@ td:not(.number):not(:first-child) { display: flex; flex-wrap: wrap; gap: 0 8px;
    align-items: baseline; }
  .@KIND@ td:empty { display: none; }
}
"""
"""Rules of one kind of table on a narrow page."""


def _stack(kind: str, width: int) -> str:
    return STACKED.replace("@KIND@", kind).replace("@WIDTH@", str(width))


PAGE_STYLE = """
:root {
  color-scheme: light;
  --paper: #f7f6f3; --surface: #ffffff; --ink: #1e2126; --muted: #5c626d; --line: #dcdad4;
  --accent: #00609a; --mark: #c25e00; --answer: #2a86bd;
  --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #b8559a; --s4: #b98500; --s5: #3f9fd8;
}
@media (prefers-color-scheme: dark) {
  :root {
    color-scheme: dark;
    --paper: #14161a; --surface: #1d2026; --ink: #e9e8e4; --muted: #a3a9b4; --line: #363b45;
    --accent: #6cbdf0; --mark: #f0a030; --answer: #56b4e9;
    --s0: #56b4e9; --s1: #ff8a3d; --s2: #2fc79a; --s3: #e08fc2; --s4: #f0c24a; --s5: #a9c7ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans",
  Arial, sans-serif; overflow-wrap: anywhere; }
main { max-width: 1408px; margin: 0 auto; padding: 14px 24px 40px; }
h1 { margin: 6px 0 10px; font-size: 21px; letter-spacing: -0.01em; }
h2 { margin: 34px 0 8px; font-size: 17px; }
h3 { margin: 22px 0 8px; font-size: 14px; }
p { max-width: 78em; margin: 6px 0; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; border-radius: 4px; }
:target { background: color-mix(in srgb, var(--accent) 16%, transparent); border-radius: 6px; }
ul { margin: 0; padding: 0; list-style: none; }
nav ul, .key, .facts { display: flex; flex-wrap: wrap; gap: 3px 18px; }
small, figcaption, .key, .facts, .terms dd, .quiet td { color: var(--muted); }
small { display: block; font-size: 12px; }

.wide { overflow-x: auto; margin: 10px 0; border: 1px solid var(--line); border-radius: 10px;
  background: var(--surface); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-size: 12.5px; font-weight: 600; vertical-align: bottom; }
th[title] { text-decoration: underline dotted var(--muted); text-underline-offset: 3px; }
th a { color: inherit; }
th, td { padding: 7px 9px; text-align: left; }
td { vertical-align: top; border-top: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: 14px; }
.number { text-align: right; white-space: nowrap; overflow-wrap: normal; }
td[data-name="queries"] { white-space: nowrap; overflow-wrap: normal; }
td:first-child { font-weight: 600; } td:first-child small { font-weight: 400; }
.quiet td:first-child { font-weight: 400; }

.bar { position: relative; display: block; min-width: 78px; height: 12px; margin-top: 3px; }
.bar::before { content: ""; position: absolute; inset: 5px 0 auto; height: 2px;
  background: var(--line); }
.bar i { position: absolute; }
.bar .reach { top: 4px; min-width: 1px; height: 4px; border-radius: 2px; background: var(--s0);
  opacity: 0.45; }
.bar .mean { top: 2px; width: 8px; height: 8px; margin-left: -4px; border-radius: 4px;
  background: var(--s0); }
.bar .chance, .bar .ceiling, .bar .zero { top: 0; width: 2px; height: 12px; margin-left: -1px; }
.chance { background: var(--mark); }
.bar .zero { background: var(--muted); }
.ceiling { background: repeating-linear-gradient(var(--ink) 0 2px, transparent 2px 4px); }
.quiet .mean { background: var(--muted); } .quiet .reach { background: var(--muted); }

.key { margin: 8px 0; font-size: 13px; }
.key li { display: flex; align-items: center; gap: 7px; }
.sign { flex: none; display: inline-block; width: 16px; height: 4px; border-radius: 2px; }
.sign.chance, .sign.ceiling { width: 2px; height: 14px; border-radius: 0; }
.sign.mean { width: 8px; height: 8px; border-radius: 4px; background: var(--s0); }
.sign.reach { background: var(--s0); opacity: 0.45; }
.sign.answer { height: 12px; border: 3px solid var(--answer); background: none; }
.sign.truth { height: 12px; border: 2px dashed var(--muted); background: none; }

.terms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr));
  gap: 10px 26px; margin: 10px 0; }
.terms div { padding: 2px 4px; } .terms dt { font-weight: 600; } .terms dd { margin: 0; }

.charts { display: flex; flex-wrap: wrap; gap: 14px; margin: 10px 0; }
figure { margin: 0; }
figcaption { font-size: 12.5px; }
.charts figure { flex: 1 1 290px; max-width: 446px; padding: 10px 12px;
  border: 1px solid var(--line); border-radius: 10px; background: var(--surface); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--muted); font-size: 12px; text-anchor: middle; }
svg .tick { font-size: 11px; } svg .up { text-anchor: end; }
svg .grid { fill: none; stroke: var(--line); stroke-width: 1; }
svg .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
svg .line.quiet { stroke: var(--muted); stroke-width: 1.2; stroke-dasharray: 5 4; }
svg .dot { fill: var(--c); fill-opacity: 0.55; stroke: var(--surface); stroke-width: 0.7; }
svg .line.dashed { stroke-dasharray: 7 3; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); }
.s3 { --c: var(--s3); } .s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
.sign.s0, .sign.s1, .sign.s2, .sign.s3, .sign.s4, .sign.s5 { background: var(--c); }
.sign.dashed { background: repeating-linear-gradient(90deg, var(--c) 0 5px, transparent 5px 8px); }
.sign.quiet { background: repeating-linear-gradient(90deg, var(--muted) 0 4px, transparent 4px 7px);
  height: 2px; }

.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr));
  gap: 14px; margin: 10px 0; }
article { padding: 12px 14px; border: 1px solid var(--line); border-radius: 10px;
  background: var(--surface); }
h4 { margin: 0 0 2px; font-size: 14px; font-weight: 650; }
.facts { margin-bottom: 8px; font-size: 12.5px; font-variant-numeric: tabular-nums; gap: 2px 12px; }
.frames { display: grid; grid-template-columns: repeat(3, 1fr); gap: 6px; }
.frames img { display: block; width: 100%; border-radius: 4px; }
.frames figcaption { text-align: center; font-size: 11.5px; font-variant-numeric: tabular-nums; }
.spans { margin-top: 6px; font-size: 12px; }
.span { display: grid; grid-template-columns: 52px 1fr; align-items: center; gap: 8px;
  color: var(--muted); }
.time { position: relative; height: 8px; border-radius: 4px; background: var(--line); }
.time i { position: absolute; top: 0; height: 8px; min-width: 2px; border-radius: 4px; }
.time .answer { background: var(--answer); }
.time .truth { border: 2px dashed var(--ink); border-radius: 2px; }
article p { margin: 6px 0 0; color: var(--mark); font-size: 12.5px; }

@media (max-width: 560px) {
  main { padding: 10px 12px 32px; }
  h2 { font-size: 16px; }
}
@media print { .wide, article, .charts figure { break-inside: avoid; } }
""" + "".join(_stack(kind, width) for kind, width in MOST_WIDTH.items())
