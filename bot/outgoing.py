"""What may leave in a text, whatever the platform: which links, and which code points.

The model's text is not trusted: a planted document can make it write a link that carries data away,
or characters that people cannot see. Pure functions; each platform's render module applies them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from core.answers import Answer

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\U000e0000-\U000e0fff\U0001d173-\U0001d17a]"
)
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")

_URL = (
    r"[a-zA-Z][a-zA-Z0-9+.\-]*:/{2,}[^\s<>`\"'\[\]()|{}]*(?:\([^\s<>`\"'\[\]()|{}]*\))*[^\s<>`\"'\[\]()|{}]*"
)
_BARE = (
    r"(?<![\w@/.\-])(?:www\.|(?:[^\W_][\w\-]*\.)+[a-zA-Z][a-zA-Z0-9\-]+(?::\d+)?[/?#])[^\s<>`\"'\[\]()|{}]*"
)
_LINKS = re.compile(
    rf"""(?P<definition>^[ \t]*\[[^\]\n]+\]:\s*<?(?P<defined>[^\s>]+)(?P<rest>>?[^\n]*))
    |!?\[(?P<title>(?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?(?P<target>[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?
        (?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)
    |<(?P<angled>{_URL})(?:\|(?P<label>[^<>]*))?>
    |(?P<url>{_URL})
    |(?P<bare>{_BARE})""",
    re.VERBOSE | re.MULTILINE,
)
_FENCE = re.compile(
    r"^(?P<indent>[ ]{0,3})```[\w+#.\-]*[ \t]*\n(?:(?P=indent)(?![ ]*```)[^\n]*\n|[ \t]*\n)*?(?P=indent)```[ \t]*$",
    re.MULTILINE,
)
_UNSURE = re.compile(r"~~~|^[ \t]*<|<!--|\\`|``", re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_WEB_SCHEME = re.compile(r"https?:/+", re.IGNORECASE)
_END_OF_SENTENCE = ".,;:!?*_~"


def strip_hidden(text: str) -> str:
    """Without what people cannot see: zero-width, bidirectional, tag, control and half characters."""
    return _HIDDEN.sub("", _LINE_ENDS.sub("\n", text))


def source_hosts(answer: Answer) -> frozenset[str]:
    """The hosts (with port, where one is named) that the cited sources live on."""
    return frozenset(filter(None, (_host(citation.uri) for citation in answer.citations)))


def is_web_link(uri: str) -> bool:
    """Whether the address can be a link in chat: plain http or https, nothing that fools a reader."""
    return _host(uri) is not None


def allowed_links(text: str, answer: Answer) -> str:
    """The Markdown with links to the hosts of cited sources only; any other becomes its title or code.

    Addresses inside code stay as they are where every Markdown dialect agrees that it is code: no
    platform makes links there, and commands must stay whole.
    """
    text = strip_hidden(text)
    if "](" not in text and "://" not in text and "]:" not in text and "." not in text:
        return text
    hosts = source_hosts(answer)
    regions = _code_regions(text)
    # Where backticks do not pair up for sure, ours could end code instead of beginning it.
    show = _without_address if "`" in _cut(text, regions) else _as_code
    parts: list[str] = []
    end = 0
    for start, stop in regions:
        parts += (_limit_links(text[end:start], hosts, show), text[start:stop])
        end = stop
    parts.append(_limit_links(text[end:], hosts, show))
    return "".join(parts)


def _host(url: str) -> str | None:
    """host or host:port of an honest web address, else None (user names, backslashes, odd characters)."""
    if not url.isascii() or "\\" in url or any(character in url for character in ' \n\t<>|`"[]{}'):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not parts.hostname:
        return None
    if not re.fullmatch(r"[a-z0-9.\-]+", parts.hostname):
        return None
    return parts.hostname if port is None else f"{parts.hostname}:{port}"


def _is_allowed(url: str, hosts: Collection[str]) -> bool:
    """On a cited host, and not the kind of address there that leads on to another one."""
    return url.count("://") == 1 and _host(url) in hosts


def _code_regions(text: str) -> list[tuple[int, int]]:
    """Where code stands for sure. Dialects differ on anything unusual: then nothing counts as code."""
    if "`" not in text:
        return []
    fences = [match.span() for match in _FENCE.finditer(text)]
    outside = _cut(text, fences)
    if _UNSURE.search(outside):
        return []
    regions = list(fences)
    for line in re.finditer(r"[^\n]+", text):
        inside_fence = any(start <= line.start() < stop for start, stop in fences)
        if not inside_fence and line.group().count("`") % 2:
            return []
        if not inside_fence:
            offset = line.start()
            regions += [(offset + m.start(), offset + m.end()) for m in _INLINE_CODE.finditer(line.group())]
    return sorted(regions)


def _cut(text: str, regions: list[tuple[int, int]]) -> str:
    parts, end = [], 0
    for start, stop in regions:
        parts.append(text[end:start])
        end = stop
    return "".join((*parts, text[end:]))


def _limit_links(text: str, hosts: Collection[str], show: Callable[[str], str]) -> str:
    def limited(match: re.Match[str]) -> str:
        found = match.groupdict()
        if found["definition"] is not None:
            if not _is_allowed(found["defined"], hosts):
                return ""
            head, rest = match.group()[: match.end("defined") - match.start()], match["rest"]
            return head + _limit_links(rest, hosts, show)
        if found["title"] is not None:
            title, target = _limit_links(found["title"], hosts, show), found["target"]
            return f"[{title}]({target})" if _is_allowed(target, hosts) else title
        if found["angled"] is not None:
            label = _limit_links(found["label"] or "", hosts, show)
            if _is_allowed(found["angled"], hosts):
                return f"[{label}]({found['angled']})" if label else found["angled"]
            return label or show(found["angled"])
        return _bare_address(match.group(), hosts, show)

    return _LINKS.sub(limited, text)


def _bare_address(address: str, hosts: Collection[str], show: Callable[[str], str]) -> str:
    trimmed = address.rstrip(_END_OF_SENTENCE)
    rest = address[len(trimmed) :]
    if _is_allowed(trimmed if "://" in trimmed else f"https://{trimmed}", hosts):
        return address
    return show(trimmed) + rest


def _as_code(address: str) -> str:
    """Without its scheme: to be read and copied, not to be clicked."""
    return f"`{_WEB_SCHEME.sub('', address) or '(link)'}`"


def _without_address(address: str) -> str:
    return "(link)"
