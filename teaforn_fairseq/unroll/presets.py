"""The systems of the literature as settings of one engine (method.md, "The family").

Options are named as on the command line, without ``--teaforn-``.
"""

PRESETS: dict[str, dict[str, str]] = {
    "teacher-forcing": {"n": "1"},
    "teaforn": {},
    "teaforn-topk": {"feedback": "topk"},
    # Two passes, the second of which counts (Mihaylova and Martins 2019).
    "scheduled-sampling": {"weights": "0,1", "feedback": "argmax", "mix": "linear:20000"},
    "student-forcing": {"n": "full"},
}
