"""The data sets people compare on: what a sample is, where its pictures lie, and each by name."""

from probe.datasets.named import NAMES, Finding, check, load_dataset
from probe.datasets.samples import DataSet, Kind, Sample

__all__ = ["NAMES", "DataSet", "Finding", "Kind", "Sample", "check", "load_dataset"]
