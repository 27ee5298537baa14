"""References that the methods paragraph may cite, as text and as BibTeX.

Titles, years, volumes, pages and identifiers were compared with what the papers' own pages, their
software's citation files or other bibliographies say.
"""

from brainnet.report.reference import Reference
from brainnet.report.references_staging import STAGING

__all__ = ["REFERENCES", "Reference", "bibtex"]

_ENTRIES = {
    "abraham2014": Reference(
        "Abraham A, Pedregosa F, Eickenberg M, et al",
        "Machine learning for neuroimaging with scikit-learn",
        venue="Front Neuroinform",
        year=2014,
        place="8:14",
        doi="10.3389/fninf.2014.00014",
    ),
    "avants2008": Reference(
        "Avants BB, Epstein CL, Grossman M, Gee JC",
        "Symmetric diffeomorphic image registration with cross-correlation: evaluating "
        "automated labeling of elderly and neurodegenerative brain",
        venue="Med Image Anal",
        year=2008,
        place="12:26-41",
        doi="10.1016/j.media.2007.06.004",
    ),
    "avants2011atropos": Reference(
        "Avants BB, Tustison NJ, Wu J, Cook PA, Gee JC",
        "An open source multivariate framework for n-tissue segmentation with evaluation "
        "on public data",
        venue="Neuroinformatics",
        year=2011,
        place="9:381-400",
        doi="10.1007/s12021-011-9109-y",
    ),
    "vanleemput1999": Reference(
        "Van Leemput K, Maes F, Vandermeulen D, Suetens P",
        "Automated model-based tissue classification of MR images of the brain",
        venue="IEEE Trans Med Imaging",
        year=1999,
        place="18(10):897-908",
        doi="10.1109/42.811270",
    ),
    "puonti2016": Reference(
        "Puonti O, Iglesias JE, Van Leemput K",
        "Fast and sequence-adaptive whole-brain segmentation using parametric Bayesian modeling",
        venue="NeuroImage",
        year=2016,
        place="143:235-249",
        doi="10.1016/j.neuroimage.2016.09.011",
    ),
    "billot2023": Reference(
        "Billot B, Greve DN, Puonti O, et al",
        "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without "
        "retraining",
        venue="Med Image Anal",
        year=2023,
        place="86:102789",
        doi="10.1016/j.media.2023.102789",
    ),
    "blondel2008": Reference(
        "Blondel VD, Guillaume JL, Lambiotte R, Lefebvre E",
        "Fast unfolding of communities in large networks",
        venue="J Stat Mech",
        year=2008,
        place="P10008",
        doi="10.1088/1742-5468/2008/10/P10008",
    ),
    "brett": Reference(
        "Brett M, Markiewicz CJ, Hanke M, et al",
        "nipy/nibabel",
        venue="Zenodo",
        doi="10.5281/zenodo.591597",
    ),
    "desikan2006": Reference(
        "Desikan RS, Ségonne F, Fischl B, et al",
        "An automated labeling system for subdividing the human cerebral cortex on MRI "
        "scans into gyral based regions of interest",
        venue="NeuroImage",
        year=2006,
        place="31:968-980",
        doi="10.1016/j.neuroimage.2006.01.021",
    ),
    "destrieux2010": Reference(
        "Destrieux C, Fischl B, Dale A, Halgren E",
        "Automatic parcellation of human cortical gyri and sulci using standard "
        "anatomical nomenclature",
        venue="NeuroImage",
        year=2010,
        place="53:1-15",
        doi="10.1016/j.neuroimage.2010.06.010",
    ),
    "efron1986": Reference(
        "Efron B, Tibshirani R",
        "Bootstrap methods for standard errors, confidence intervals, and other measures "
        "of statistical accuracy",
        venue="Stat Sci",
        year=1986,
        place="1:54-75",
        doi="10.1214/ss/1177013815",
    ),
    "fey2019": Reference(
        "Fey M, Lenssen JE",
        "Fast graph representation learning with PyTorch Geometric",
        venue="ICLR Workshop on Representation Learning on Graphs and Manifolds",
        year=2019,
        arxiv="1903.02428",
    ),
    "fisch2024": Reference(
        "Fisch L, Zumdick S, Barkhau C, et al",
        "deepbet: Fast brain extraction of T1-weighted MRI using convolutional neural networks",
        venue="Comput Biol Med",
        year=2024,
        place="179:108845",
        doi="10.1016/j.compbiomed.2024.108845",
    ),
    "fonov2009": Reference(
        "Fonov VS, Evans AC, McKinstry RC, Almli CR, Collins DL",
        "Unbiased nonlinear average age-appropriate brain templates from birth to adulthood",
        venue="NeuroImage",
        year=2009,
        place="47(Suppl 1):S102",
        doi="10.1016/S1053-8119(09)70884-5",
    ),
    "fonov2011": Reference(
        "Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL",
        "Unbiased average age-appropriate atlases for pediatric studies",
        venue="NeuroImage",
        year=2011,
        place="54:313-327",
        doi="10.1016/j.neuroimage.2010.07.033",
    ),
    "friston1996": Reference(
        "Friston KJ, Williams S, Howard R, Frackowiak RSJ, Turner R",
        "Movement-related effects in fMRI time-series",
        venue="Magn Reson Med",
        year=1996,
        place="35:346-355",
        doi="10.1002/mrm.1910350312",
    ),
    "gorgolewski2016": Reference(
        "Gorgolewski KJ, Auer T, Calhoun VD, et al",
        "The brain imaging data structure, a format for organizing and describing outputs "
        "of neuroimaging experiments",
        venue="Sci Data",
        year=2016,
        place="3:160044",
        doi="10.1038/sdata.2016.44",
    ),
    "harris2020": Reference(
        "Harris CR, Millman KJ, van der Walt SJ, et al",
        "Array programming with NumPy",
        venue="Nature",
        year=2020,
        place="585:357-362",
        doi="10.1038/s41586-020-2649-2",
    ),
    "joliot2015": Reference(
        "Joliot M, Jobard G, Naveau M, et al",
        "AICHA: An atlas of intrinsic connectivity of homotopic areas",
        venue="J Neurosci Methods",
        year=2015,
        place="254:46-59",
        doi="10.1016/j.jneumeth.2015.07.013",
    ),
    "kipf2017": Reference(
        "Kipf TN, Welling M",
        "Semi-supervised classification with graph convolutional networks",
        venue="ICLR",
        year=2017,
        arxiv="1609.02907",
    ),
    "kong2015": Reference(
        "Kong XZ, Liu Z, Huang L, et al",
        "Mapping individual brain networks using statistical similarity in regional "
        "morphology from MRI",
        venue="PLoS ONE",
        year=2015,
        place="10:e0141840",
        doi="10.1371/journal.pone.0141840",
    ),
    "latora2001": Reference(
        "Latora V, Marchiori M",
        "Efficient behavior of small-world networks",
        venue="Phys Rev Lett",
        year=2001,
        place="87:198701",
        doi="10.1103/PhysRevLett.87.198701",
    ),
    "ledoit2004": Reference(
        "Ledoit O, Wolf M",
        "A well-conditioned estimator for large-dimensional covariance matrices",
        venue="J Multivar Anal",
        year=2004,
        place="88:365-411",
        doi="10.1016/S0047-259X(03)00096-4",
    ),
    "lin1991": Reference(
        "Lin J",
        "Divergence measures based on the Shannon entropy",
        venue="IEEE Trans Inf Theory",
        year=1991,
        place="37:145-151",
        doi="10.1109/18.61115",
    ),
    "newman2006": Reference(
        "Newman MEJ",
        "Modularity and community structure in networks",
        venue="Proc Natl Acad Sci USA",
        year=2006,
        place="103:8577-8582",
        doi="10.1073/pnas.0601602103",
    ),
    "nichols2017": Reference(
        "Nichols TE",
        "Notes on creating a standardized version of DVARS",
        year=2017,
        arxiv="1704.01469",
    ),
    "norgaard2022": Reference(
        "Norgaard M, Matheson GJ, Hansen HD, et al",
        "PET-BIDS, an extension to the brain imaging data structure for positron emission "
        "tomography",
        venue="Sci Data",
        year=2022,
        place="9:65",
        doi="10.1038/s41597-022-01164-1",
    ),
    "paszke2019": Reference(
        "Paszke A, Gross S, Massa F, et al",
        "PyTorch: An imperative style, high-performance deep learning library",
        venue="NeurIPS",
        year=2019,
        place="32:8024-8035",
    ),
    "pedregosa2011": Reference(
        "Pedregosa F, Varoquaux G, Gramfort A, et al",
        "Scikit-learn: Machine learning in Python",
        venue="J Mach Learn Res",
        year=2011,
        place="12:2825-2830",
    ),
    "power2012": Reference(
        "Power JD, Barnes KA, Snyder AZ, Schlaggar BL, Petersen SE",
        "Spurious but systematic correlations in functional connectivity MRI networks "
        "arise from subject motion",
        venue="NeuroImage",
        year=2012,
        place="59:2142-2154",
        doi="10.1016/j.neuroimage.2011.10.018",
    ),
    "rubinov2010": Reference(
        "Rubinov M, Sporns O",
        "Complex network measures of brain connectivity: Uses and interpretations",
        venue="NeuroImage",
        year=2010,
        place="52:1059-1069",
        doi="10.1016/j.neuroimage.2009.10.003",
    ),
    "satterthwaite2013": Reference(
        "Satterthwaite TD, Elliott MA, Gerraty RT, et al",
        "An improved framework for confound regression and filtering for control of "
        "motion artifact in the preprocessing of resting-state functional connectivity "
        "data",
        venue="NeuroImage",
        year=2013,
        place="64:240-256",
        doi="10.1016/j.neuroimage.2012.08.052",
    ),
    "schaefer2018": Reference(
        "Schaefer A, Kong R, Gordon EM, et al",
        "Local-global parcellation of the human cerebral cortex from intrinsic functional "
        "connectivity MRI",
        venue="Cereb Cortex",
        year=2018,
        place="28:3095-3114",
        doi="10.1093/cercor/bhx179",
    ),
    "tian2020": Reference(
        "Tian Y, Margulies DS, Breakspear M, Zalesky A",
        "Topographic organization of the human subcortex unveiled with functional "
        "connectivity gradients",
        venue="Nat Neurosci",
        year=2020,
        place="23:1421-1432",
        doi="10.1038/s41593-020-00711-6",
    ),
    "tustison2010": Reference(
        "Tustison NJ, Avants BB, Cook PA, et al",
        "N4ITK: Improved N3 bias correction",
        venue="IEEE Trans Med Imaging",
        year=2010,
        place="29:1310-1320",
        doi="10.1109/TMI.2010.2046908",
    ),
    "tustison2021": Reference(
        "Tustison NJ, Cook PA, Holbrook AJ, et al",
        "The ANTsX ecosystem for quantitative biological and medical imaging",
        venue="Sci Rep",
        year=2021,
        place="11:9068",
        doi="10.1038/s41598-021-87564-6",
    ),
    "tzourio2002": Reference(
        "Tzourio-Mazoyer N, Landeau B, Papathanassiou D, et al",
        "Automated anatomical labeling of activations in SPM using a macroscopic "
        "anatomical parcellation of the MNI MRI single-subject brain",
        venue="NeuroImage",
        year=2002,
        place="15:273-289",
        doi="10.1006/nimg.2001.0978",
    ),
    "virtanen2020": Reference(
        "Virtanen P, Gommers R, Oliphant TE, et al",
        "SciPy 1.0: Fundamental algorithms for scientific computing in Python",
        venue="Nat Methods",
        year=2020,
        place="17:261-272",
        doi="10.1038/s41592-019-0686-2",
    ),
    "wang2016": Reference(
        "Wang H, Jin X, Zhang Y, Wang J",
        "Single-subject morphological brain networks: connectivity mapping, topological "
        "characterization and test-retest reliability",
        venue="Brain Behav",
        year=2016,
        place="6:e00448",
        doi="10.1002/brb3.448",
    ),
    "yushkevich2016": Reference(
        "Yushkevich PA, Pluta J, Wang H, Wisse LEM, Das S, Wolk D",
        "Fast automatic segmentation of hippocampal subfields and medial temporal lobe "
        "subregions in 3 Tesla and 7 Tesla T2-weighted MRI",
        venue="Alzheimers Dement",
        year=2016,
        place="12(7S):P126-P127",
        doi="10.1016/j.jalz.2016.06.205",
    ),
    "zhang2001": Reference(
        "Zhang Y, Brady M, Smith S",
        "Segmentation of brain MR images through a hidden Markov random field model and "
        "the expectation-maximization algorithm",
        venue="IEEE Trans Med Imaging",
        year=2001,
        place="20:45-57",
        doi="10.1109/42.906424",
    ),
}

_ENTRIES |= STAGING

REFERENCES = {key: entry.text for key, entry in _ENTRIES.items()}
"""Key to citation in words."""


def bibtex(key: str) -> str:
    """Return a reference as an entry of a BibTeX file.

    Parameters
    ----------
    key : str
        Of `REFERENCES`.

    Returns
    -------
    str
        Several lines.

    Examples
    --------
    >>> print(bibtex("kipf2017"))
    @misc{kipf2017,
      author = {Kipf, T. N. and Welling, M.},
      title = {{Semi-supervised classification with graph convolutional networks}},
      howpublished = {ICLR},
      year = {2017},
      eprint = {1609.02907},
      archiveprefix = {arXiv},
    }
    """
    return _ENTRIES[key].bibtex(key)
