"""How the tests are run: the longest modules first, and without counting over and over what never goes away."""

import collections
import gc


def pytest_collection_modifyitems(items):
    """Modules with slow tests come first, then those with many: else one process ends long before the other."""
    num_tests = collections.Counter(item.path for item in items)
    with_slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in with_slow, -num_tests[item.path]))


def pytest_collection_finish():
    """What is imported by now is left out of all garbage collections to come."""
    gc.collect()
    gc.freeze()
