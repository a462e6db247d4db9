"""Names that try to leave their folder: 200 payloads, from the plain to the overlong."""

from itertools import product

_STEPS = ("..", "%2e%2e", "%252e%252e", "..;", ".%00.", "%c0%ae%c0%ae", "．．", "..\u202e", "....", "{..}")
_SLASHES = ("/", "\\", "%2f", "%5c", "／", "\u2044", "//", "/./")
_ENDS = ("etc/passwd", "")
_ODD = (
    *("/etc/passwd", "C:\\windows", "\\\\host\\share", "file:///etc/passwd", "~/.ssh/id", "./x", "x/.", "x/.."),
    *(".", "..", "a\0b", "a\nb", "a\rb", "a\tb", "\u202eabc", "a\u200bb", "\ufeffBTC", "CON.txt", "a:b", "a|b"),
    *("a*b", "a?b", '"', "'", "<script>", "$(id)", "`id`", "a;b", "a&b", "", " ", "A" * 33, "x/../../y", "e\u0301"),
    *("\u212b", "../" * 40 + "etc", "%2fetc", "nul\0/../x", "-/../-", "b/../../../c", "d/e", "\x7f"),
)
NAMES: tuple[str, ...] = (*(step + slash + end for step, slash, end in product(_STEPS, _SLASHES, _ENDS)), *_ODD)[:200]
assert len(set(NAMES)) == 200
