"""The tasks of the mixed cluster; `demo-node` has them in Rust under the same names.

Each returns where it and those before it ran: a list of label and worker.
"""


def start(self, label):
    return [[label, self.request.hostname]]


def visit(self, visits, label):
    return [*visits, [label, self.request.hostname]]


def gather(self, lists, label):
    return [*(one for visits in lists for one in visits), [label, self.request.hostname]]


def register(app):
    for function in (start, visit, gather):
        app.task(function, name=f"mixed.{function.__name__}", bind=True, shared=False)
