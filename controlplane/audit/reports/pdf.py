"""A compliance report as PDF."""

import io
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

from controlplane.audit.reports.content import Content, Integrity, Section

_BLUE, _GREY, _LINE = colors.HexColor("#1f4e79"), colors.HexColor("#566373"), colors.HexColor("#d5dce4")
_GREEN, _RED = colors.HexColor("#2e7d4f"), colors.HexColor("#b3261e")
_MARGIN = 16 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_CELL = ParagraphStyle("cell", fontName="Helvetica", fontSize=7.5, leading=9.5, splitLongWords=1)
_HEAD = ParagraphStyle("head", parent=_CELL, fontName="Helvetica-Bold")
_CODE = ParagraphStyle("code", parent=_CELL, fontName="Courier", fontSize=7)
_TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12)
_ABOUT = ParagraphStyle("about", parent=_TEXT, textColor=_GREY, spaceAfter=4)
_NONE = ParagraphStyle("none", parent=_TEXT, textColor=_GREY, fontName="Helvetica-Oblique")
_TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=20, leading=24, textColor=_BLUE)
_SECTION = ParagraphStyle(
    "section", fontName="Helvetica-Bold", fontSize=12, leading=15, textColor=_BLUE, spaceBefore=14
)
_FIGURE = ParagraphStyle("figure", fontName="Helvetica-Bold", fontSize=15, leading=18)
_NAME = ParagraphStyle("name", parent=_CELL, textColor=_GREY)
# How much room columns need that are not of the usual width.
_WEIGHTS = {
    "Times": 0.6, "Succeeded": 0.75, "Failed": 0.6, "Count": 0.6, "Operation": 1.8, "Method": 1.8, "Change": 1.6,
    "On": 1.4, "Root": 2.0,
}  # fmt: skip


def render_pdf(content: Content) -> bytes:
    """Write a report as PDF."""
    file = io.BytesIO()
    title = f"Audit report {content.begin[:10]} to {content.end[:10]}"
    document = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=16 * mm, bottomMargin=18 * mm,
        title=title, author="Solward", subject=f"Log {content.integrity.origin}", lang="en",
    )  # fmt: skip
    period = f"{_when(content.begin)} to {_when(content.end)} UTC, {content.integrity.origin}"
    story: list[Flowable] = [
        Paragraph("Audit report", _TITLE), _paragraph(period, _ABOUT), Spacer(1, 6),
        _proof(content.integrity), Spacer(1, 8), _figures(content.figures),
    ]  # fmt: skip
    for section in content.sections:
        story += _section(section)
    foot = f"Made {_when(content.made)} UTC for {content.by}"

    def page(canvas: Canvas, _document: object) -> None:
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(_GREY)
        canvas.drawString(_MARGIN, 10 * mm, _plain(f"{title}. {foot}."))
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"page {canvas.getPageNumber()}")

    document.build(story, onFirstPage=page, onLaterPages=page)
    return file.getvalue()


def _proof(integrity: Integrity) -> Table:
    verdict = "The log is intact." if integrity.intact else f"The log is NOT intact: {integrity.finding}."
    said = (
        f"{integrity.entries} entries were verified against their hash chain, their keyed codes and "
        f"{integrity.checkpoints} signed checkpoints."
    )
    colour = _GREEN if integrity.intact else _RED
    bold = ParagraphStyle("verdict", parent=_TEXT, fontName="Helvetica-Bold", textColor=colour)
    pairs = (
        ("Size", str(integrity.size)), ("Merkle root", integrity.root), ("Signed", f"{_when(integrity.signed)} UTC"),
        ("Signature", integrity.signature), ("Public key", integrity.public_key),
    )  # fmt: skip
    rows: list[list[Any]] = [
        [_paragraph(verdict, bold), ""],
        [_paragraph(said, _TEXT), ""],
        *([_paragraph(name, _NAME), _paragraph(value, _CODE)] for name, value in pairs),
    ]
    return Table(
        rows, colWidths=[26 * mm, _WIDTH - 26 * mm],
        style=[
            ("SPAN", (0, 0), (1, 0)), ("SPAN", (0, 1), (1, 1)), ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("BACKGROUND", (0, 0), (-1, -1), colors.HexColor("#f1f8f4" if integrity.intact else "#fdf1f0")),
            ("LINEBEFORE", (0, 0), (0, -1), 3, colour), ("TOPPADDING", (0, 0), (-1, -1), 1),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ],
    )  # fmt: skip


def _figures(figures: dict[str, int]) -> Table:
    cells = [[Paragraph(str(number), _FIGURE), _paragraph(name, _NAME)] for name, number in figures.items()]
    half = (len(cells) + 1) // 2
    rows = [cells[:half], cells[half:] + [""] * (2 * half - len(cells))]
    return Table(
        rows, colWidths=[_WIDTH / half] * half,
        style=[("BOX", (0, 0), (-1, -1), 0.5, _LINE), ("INNERGRID", (0, 0), (-1, -1), 0.5, _LINE)],
    )  # fmt: skip


def _section(section: Section) -> list[Flowable]:
    story: list[Flowable] = [
        CondPageBreak(35 * mm), _paragraph(section.title, _SECTION), _paragraph(section.about, _ABOUT),
    ]  # fmt: skip
    if not section.rows:
        return [*story, Paragraph("None.", _NONE)]
    rows = [[_paragraph(name, _HEAD) for name in section.columns]]
    rows += [[_paragraph(cell, _CELL) for cell in row] for row in section.rows]
    story.append(
        Table(
            rows, colWidths=_widths(section.columns), repeatRows=1,
            style=[
                ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#eef2f6")),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE), ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                ("LEFTPADDING", (0, 0), (-1, -1), 4), ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ],
        )
    )  # fmt: skip
    if section.left_out:
        story.append(Paragraph(f"and {section.left_out} more", _NONE))
    return story


def _widths(columns: Sequence[str]) -> list[float]:
    weights = [_WEIGHTS.get(name, 1.0) for name in columns]
    return [_WIDTH * weight / sum(weights) for weight in weights]


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(_plain(text)), style)


def _plain(text: str) -> str:
    # The fonts that every reader of PDF has know these characters and no others.
    return text.encode("cp1252", "replace").decode("cp1252")


def _when(time: str) -> str:
    return time[:16].replace("T", " ")
