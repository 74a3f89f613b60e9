"""Put the output of a demo run into README.md: `make demo | tee /tmp/demo.txt && python scripts/readme_demo.py /tmp/demo.txt`."""

import sys
from pathlib import Path

BEGIN, END = "<!-- demo: begin -->", "<!-- demo: end -->"
README = Path(__file__).resolve().parents[1] / "README.md"


def main() -> None:
    """Replace what stands between the marks."""
    output = Path(sys.argv[1]).read_text(encoding="utf-8").strip()
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n```\n{output}\n```\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
