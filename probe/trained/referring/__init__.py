"""Response maps on single pictures, as PCNet was published: RefCOCO, CLIP and proposals of SAM.

The network and its losses are those of `probe.trained.responses`; here both encoders are tuned with
it. Data come as `DescribedThing`, so that any data set can be read; training is given no truth.
"""
