"""References of staging: models, evaluation, harmonisation; part of `references.REFERENCES`."""

from brainnet.report.reference import Reference

__all__ = ["STAGING"]

STAGING = {
    "breiman2001": Reference(
        "Breiman L",
        "Random forests",
        venue="Mach Learn",
        year=2001,
        place="45:5-32",
        doi="10.1023/A:1010933404324",
    ),
    "brody2022": Reference(
        "Brody S, Alon U, Yahav E",
        "How attentive are graph attention networks?",
        venue="ICLR",
        year=2022,
        arxiv="2105.14491",
    ),
    "cortes1995": Reference(
        "Cortes C, Vapnik V",
        "Support-vector networks",
        venue="Mach Learn",
        year=1995,
        place="20:273-297",
        doi="10.1007/BF00994018",
    ),
    "fortin2018": Reference(
        "Fortin JP, Cullen N, Sheline YI, et al",
        "Harmonization of cortical thickness measurements across scanners and sites",
        venue="NeuroImage",
        year=2018,
        place="167:104-120",
        doi="10.1016/j.neuroimage.2017.11.024",
    ),
    "friedman2001": Reference(
        "Friedman JH",
        "Greedy function approximation: a gradient boosting machine",
        venue="Ann Stat",
        year=2001,
        place="29(5):1189-1232",
        doi="10.1214/aos/1013203451",
    ),
    "johnson2007": Reference(
        "Johnson WE, Li C, Rabinovic A",
        "Adjusting batch effects in microarray expression data using empirical Bayes methods",
        venue="Biostatistics",
        year=2007,
        place="8(1):118-127",
        doi="10.1093/biostatistics/kxj037",
    ),
    "kan2022": Reference(
        "Kan X, Dai W, Cui H, et al",
        "Brain network transformer",
        venue="NeurIPS",
        year=2022,
        arxiv="2210.06681",
    ),
    "kawahara2017": Reference(
        "Kawahara J, Brown CJ, Miller SP, et al",
        "BrainNetCNN: convolutional neural networks for brain networks; towards predicting "
        "neurodevelopment",
        venue="NeuroImage",
        year=2017,
        place="146:1038-1049",
        doi="10.1016/j.neuroimage.2016.09.046",
    ),
    "li2021": Reference(
        "Li X, Zhou Y, Dvornek N, et al",
        "BrainGNN: interpretable brain graph neural network for fMRI analysis",
        venue="Med Image Anal",
        year=2021,
        place="74:102233",
        doi="10.1016/j.media.2021.102233",
    ),
    "nadeau2003": Reference(
        "Nadeau C, Bengio Y",
        "Inference for the generalization error",
        venue="Mach Learn",
        year=2003,
        place="52(3):239-281",
        doi="10.1023/A:1024068626366",
    ),
    "ojala2010": Reference(
        "Ojala M, Garriga GC",
        "Permutation tests for studying classifier performance",
        venue="J Mach Learn Res",
        year=2010,
        place="11:1833-1863",
    ),
    "romano2020": Reference(
        "Romano Y, Sesia M, Candès EJ",
        "Classification with valid and adaptive coverage",
        venue="NeurIPS",
        year=2020,
        arxiv="2006.02544",
    ),
    "varoquaux2010": Reference(
        "Varoquaux G, Baronnet F, Kleinschmidt A, Fillard P, Thirion B",
        "Detection of brain functional-connectivity difference in post-stroke patients using "
        "group-level covariance modeling",
        venue="MICCAI, Lect Notes Comput Sci",
        year=2010,
        place="6361:200-208",
        doi="10.1007/978-3-642-15705-9_25",
    ),
    "vovk2015": Reference(
        "Vovk V",
        "Cross-conformal predictors",
        venue="Ann Math Artif Intell",
        year=2015,
        place="74(1):9-28",
        doi="10.1007/s10472-013-9368-4",
    ),
    "xu2019": Reference(
        "Xu K, Hu W, Leskovec J, Jegelka S",
        "How powerful are graph neural networks?",
        venue="ICLR",
        year=2019,
        arxiv="1810.00826",
    ),
}
"""By the key that the methods paragraph cites them with."""
