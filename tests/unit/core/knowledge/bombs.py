"""Documents that are made to harm who reads them, and harmless ones of the same formats."""

from __future__ import annotations

import io
import zipfile
import zlib

import docx


def make_docx(text: str = "The canteen opens at noon.") -> bytes:
    document, file = docx.Document(), io.BytesIO()
    document.add_paragraph(text)
    document.save(file)
    return file.getvalue()


def replace_body(body: bytes) -> bytes:
    """A DOCX with another word/document.xml, compressed."""
    return replace_part(make_docx(), "word/document.xml", body)


def replace_part(package: bytes, name: str, body: bytes) -> bytes:
    """A package with another part of this name, or with one more, compressed."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(package)) as given,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for entry in given.infolist():
            if entry.filename != name:
                made.writestr(entry, given.read(entry), zipfile.ZIP_DEFLATED)
        made.writestr(name, body)
    return file.getvalue()


HEAD = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
TAIL = b"</w:body></w:document>"


def make_docx_bomb(paragraphs: int) -> bytes:
    """Small to send, large to hold: every paragraph unpacks to several objects."""
    return replace_body(HEAD + b"<w:p><w:r><w:t>a</w:t></w:r></w:p>" * paragraphs + TAIL)


def make_zip_bomb() -> bytes:
    """300 MB of spaces in a few hundred kilobytes."""
    return replace_body(HEAD + b" " * (300 * 2**20) + TAIL)


def make_entity_bomb() -> bytes:
    entities = b'<!ENTITY a "lol lol lol lol lol lol lol lol">'
    for n in range(1, 10):
        before, name = ("a" if n == 1 else f"a{n - 1}"), f"a{n}"
        entities += f'<!ENTITY {name} "{f"&{before};" * 10}">'.encode()
    body = HEAD + b"<w:p><w:r><w:t>&a9;</w:t></w:r></w:p>" + TAIL
    return replace_body(b"<?xml version='1.0'?><!DOCTYPE w:document [" + entities + b"]>" + body)


def make_xlsx_bomb(cells: int) -> bytes:
    """Small to send, large to hold: one row of very many cells."""
    relations = '<Relationships><Relationship Id="r1" Type="x/{}" Target="{}"/></Relationships>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("_rels/.rels", relations.format("officeDocument", "book.xml"))
        made.writestr("_rels/book.xml.rels", relations.format("worksheet", "sheet.xml"))
        made.writestr("book.xml", '<w xmlns:r="r"><sheets><sheet name="Bomb" r:id="r1"/></sheets></w>')
        made.writestr("sheet.xml", f"<w><sheetData><row>{'<c/>' * cells}</row></sheetData></w>")
    return file.getvalue()


def make_pdf(content: bytes) -> bytes:
    """One page with this content stream, compressed."""
    packed = zlib.compress(content, 9)
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R"
        b"/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
        b"<</Length %d/Filter/FlateDecode>>\nstream\n%s\nendstream" % (len(packed), packed),
    ]
    made, places = b"%PDF-1.4\n", []
    for n, part in enumerate(parts, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (n, part)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(made)
    made += b"xref\n0 5\n0000000000 65535 f \n" + rows
    return made + b"trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start


def make_slow_pdf(operators: int = 2_000_000) -> bytes:
    return make_pdf(b"BT /F 9 Tf (The canteen opens at noon.) Tj ET\n" * (operators // 4))


def make_pdf_bomb() -> bytes:
    """A gigabyte of zeros in a megabyte."""
    return make_pdf(bytes(2**30))
