"""What a model thinks aloud before its answer: some servers send it as a part of that, and it is not shown."""

MARKS = ("<think>", "<thinking>")


class Thoughts:
    """Takes out what a model thinks aloud at the start of its answer."""

    def __init__(self) -> None:
        self._held = ""
        self._mark = ""
        self._over = False

    def feed(self, text: str) -> str:
        """What of the text so far is answer, and was not given yet."""
        if self._over:
            return text
        self._held += text
        begun = self._held.lstrip()
        if not self._mark:
            self._mark = next((mark for mark in MARKS if begun.startswith(mark)), "")
            if not self._mark and any(mark.startswith(begun) for mark in MARKS):
                return ""
        if self._mark:
            _, end, rest = self._held.partition(self._mark.replace("<", "</"))
            if not end:
                return ""
            self._held = rest.lstrip("\n")
        self._over = True
        return self._held
