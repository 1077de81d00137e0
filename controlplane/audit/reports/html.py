"""A compliance report as one HTML file: no script, nothing loaded from elsewhere, made to be printed."""

from html import escape

from controlplane.audit.reports.content import Content, Integrity, Section

_STYLE = """
@page { size: A4; margin: 18mm 16mm; @bottom-right { content: counter(page) " / " counter(pages); } }
* { box-sizing: border-box; }
body { font: 14px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b2430; margin: 0 auto;
  max-width: 1080px;  padding: 32px 24px; background: #fff; }
header { border-bottom: 3px solid #1f4e79; padding-bottom: 12px; margin-bottom: 24px; }
h1 { font-size: 26px; margin: 0; color: #1f4e79; }
header p { margin: 4px 0 0; color: #566373; }
h2 { font-size: 17px; margin: 32px 0 2px; color: #1f4e79; break-after: avoid; }
section > p { margin: 0 0 8px; color: #566373; break-after: avoid; }
.figures { display: flex; flex-wrap: wrap; gap: 10px; margin: 20px 0; }
.figures div { flex: 1 1 110px; border: 1px solid #d5dce4; border-radius: 6px; padding: 8px 12px; }
.figures b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.figures span { color: #566373; font-size: 12px; }
.proof { border-left: 5px solid #2e7d4f; background: #f1f8f4; padding: 12px 16px; border-radius: 4px; }
.proof.broken { border-color: #b3261e; background: #fdf1f0; }
.proof strong { color: #2e7d4f; } .proof.broken strong { color: #b3261e; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 8px 0 0; }
dt { color: #566373; } dd { margin: 0; overflow-wrap: anywhere; }
code { font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; }
thead { display: table-header-group; }
th { text-align: left; background: #eef2f6; border-bottom: 2px solid #c3ccd6; padding: 5px 8px; }
td { border-bottom: 1px solid #e3e8ee; padding: 4px 8px; vertical-align: top; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
tr { break-inside: avoid; }
.none, .more { color: #566373; font-style: italic; }
footer { margin-top: 36px; border-top: 1px solid #d5dce4; padding-top: 8px; color: #566373; font-size: 12px; }
@media print { body { padding: 0; max-width: none; } table { font-size: 10px; } h2 { font-size: 15px; } }
"""


def render_html(content: Content) -> bytes:
    """Write a report as HTML; everything that an entry says is escaped."""
    figures = "".join(
        f"<div><b>{number}</b><span>{escape(name)}</span></div>" for name, number in content.figures.items()
    )
    title = f"Audit report {content.begin[:10]} to {content.end[:10]}"
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<header><h1>Audit report</h1><p>{escape(_when(content.begin))} to {escape(_when(content.end))} UTC · "
            f"{escape(content.integrity.origin)}</p></header>",
            _proof(content.integrity),
            f'<div class="figures">{figures}</div>',
            *map(_section, content.sections),
            f"<footer>Made {escape(_when(content.made))} UTC for {escape(content.by)}. Verify it: "
            "<code>ctl audit export --out audit.jsonl &amp;&amp; ctl audit verify audit.jsonl</code> must name this "
            "root for this size, or one that grew from it.</footer></body></html>\n",
        )
    ).encode("utf-8", "replace")


def _proof(integrity: Integrity) -> str:
    verdict = "The log is intact." if integrity.intact else f"The log is NOT intact: {integrity.finding}."
    said = (
        f"{integrity.entries} entries were verified against their hash chain, their keyed codes and "
        f"{integrity.checkpoints} signed checkpoints."
    )
    pairs = (
        ("Log", integrity.origin), ("Size", str(integrity.size)), ("Merkle root", integrity.root),
        ("Signed", f"{_when(integrity.signed)} UTC"), ("Signature (Ed25519)", integrity.signature),
        ("Public key", integrity.public_key),
    )  # fmt: skip
    listed = "".join(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in pairs)
    kind = "proof" if integrity.intact else "proof broken"
    return f'<div class="{kind}"><strong>{escape(verdict)}</strong> {escape(said)}<dl>{listed}</dl></div>'


def _section(section: Section) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in section.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in section.rows)
    more = f'<p class="more">and {section.left_out} more</p>' if section.left_out else ""
    table = (
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else '<p class="none">None.</p>'
    )
    return f"<section><h2>{escape(section.title)}</h2><p>{escape(section.about)}</p>{table}{more}</section>"


def _when(time: str) -> str:
    return time[:16].replace("T", " ")
