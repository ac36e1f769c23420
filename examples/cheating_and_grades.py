"""Who cheats.

The share of students who cheat falls with their grades (Dayton 1998): a latent class regression.
"""

from io import StringIO

import pandas as pd

import bayesmix as bm

# Answers to four questions, and numbers of students in five groups of grades, low to high.
table = """\
answers  1  2  3  4  5
0000    51 63 35 30 24
0001    19 18  6  2  1
0010     0  5  1  0  1
0011     4  0  0  0  1
0100     4  4  4  0  1
0101     3  0  0  1  0
0110     1  0  0  0  0
0111     0  1  0  1  0
1000     5  4  0  0  1
1001     2  1  0  0  0
1010     1  0  0  0  0
1011     0  1  1  0  0
1100     4  6  1  0  0
1101     4  0  0  0  0
1110     1  0  0  0  0
1111     1  1  0  0  0
"""
counts = pd.read_csv(StringIO(table), sep=r"\s+", dtype={"answers": str})
students = counts.melt("answers", var_name="grade", value_name="n").astype({"grade": int})
items = pd.DataFrame(students["answers"].map(list).tolist(), columns=list("ABCD")).astype(int)

model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0)
model.fit(items, covariates=students[["grade"]], sample_weight=students["n"])
bm.plots.plot_gate(model, "grade").set_xticks(range(1, 6))
