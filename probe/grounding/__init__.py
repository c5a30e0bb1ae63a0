"""The parts of the grounder: queries, rules, latent prompts, spans, configurations and answers.

It never imports data sets, metrics or the organism: the method cannot see the truth.
"""
