"""References that the methods paragraph may cite."""

REFERENCES = {
    "abraham2014": "Abraham A, Pedregosa F, Eickenberg M, et al. Machine learning for neuroimaging "
    "with scikit-learn. Front Neuroinform 2014;8:14. doi:10.3389/fninf.2014.00014",
    "avants2008": "Avants BB, Epstein CL, Grossman M, Gee JC. Symmetric diffeomorphic image "
    "registration with cross-correlation: evaluating automated labeling of elderly and "
    "neurodegenerative brain. Med Image Anal 2008;12:26-41. doi:10.1016/j.media.2007.06.004",
    "avants2011atropos": "Avants BB, Tustison NJ, Wu J, Cook PA, Gee JC. An open source "
    "multivariate framework for n-tissue segmentation with evaluation on public data. "
    "Neuroinformatics 2011;9:381-400. doi:10.1007/s12021-011-9109-y",
    "blondel2008": "Blondel VD, Guillaume JL, Lambiotte R, Lefebvre E. Fast unfolding of "
    "communities in large networks. J Stat Mech 2008;P10008. doi:10.1088/1742-5468/2008/10/P10008",
    "brett": "Brett M, Markiewicz CJ, Hanke M, et al. nipy/nibabel. Zenodo. "
    "doi:10.5281/zenodo.591597",
    "desikan2006": "Desikan RS, Ségonne F, Fischl B, et al. An automated labeling system for "
    "subdividing the human cerebral cortex on MRI scans into gyral based regions of interest. "
    "NeuroImage 2006;31:968-980. doi:10.1016/j.neuroimage.2006.01.021",
    "destrieux2010": "Destrieux C, Fischl B, Dale A, Halgren E. Automatic parcellation of human "
    "cortical gyri and sulci using standard anatomical nomenclature. NeuroImage 2010;53:1-15. "
    "doi:10.1016/j.neuroimage.2010.06.010",
    "efron1986": "Efron B, Tibshirani R. Bootstrap methods for standard errors, confidence "
    "intervals, and other measures of statistical accuracy. Stat Sci 1986;1:54-75. "
    "doi:10.1214/ss/1177013815",
    "fey2019": "Fey M, Lenssen JE. Fast graph representation learning with PyTorch Geometric. "
    "ICLR Workshop on Representation Learning on Graphs and Manifolds 2019. arXiv:1903.02428",
    "fisch2024": "Fisch L, Zumdick S, Barkhau C, et al. deepbet: Fast brain extraction of "
    "T1-weighted MRI using convolutional neural networks. Comput Biol Med 2024;179:108845. "
    "doi:10.1016/j.compbiomed.2024.108845",
    "fonov2009": "Fonov VS, Evans AC, McKinstry RC, Almli CR, Collins DL. Unbiased nonlinear "
    "average age-appropriate brain templates from birth to adulthood. NeuroImage 2009;47(Suppl "
    "1):S102. doi:10.1016/S1053-8119(09)70884-5",
    "fonov2011": "Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL. Unbiased "
    "average age-appropriate atlases for pediatric studies. NeuroImage 2011;54:313-327. "
    "doi:10.1016/j.neuroimage.2010.07.033",
    "friston1996": "Friston KJ, Williams S, Howard R, Frackowiak RSJ, Turner R. Movement-related "
    "effects in fMRI time-series. Magn Reson Med 1996;35:346-355. doi:10.1002/mrm.1910350312",
    "gorgolewski2016": "Gorgolewski KJ, Auer T, Calhoun VD, et al. The brain imaging data "
    "structure, a format for organizing and describing outputs of neuroimaging experiments. Sci "
    "Data 2016;3:160044. doi:10.1038/sdata.2016.44",
    "harris2020": "Harris CR, Millman KJ, van der Walt SJ, et al. Array programming with NumPy. "
    "Nature 2020;585:357-362. doi:10.1038/s41586-020-2649-2",
    "joliot2015": "Joliot M, Jobard G, Naveau M, et al. AICHA: An atlas of intrinsic connectivity "
    "of homotopic areas. J Neurosci Methods 2015;254:46-59. doi:10.1016/j.jneumeth.2015.07.013",
    "kipf2017": "Kipf TN, Welling M. Semi-supervised classification with graph convolutional "
    "networks. ICLR 2017. arXiv:1609.02907",
    "kong2015": "Kong XZ, Liu Z, Huang L, et al. Mapping individual brain networks using "
    "statistical similarity in regional morphology from MRI. PLoS ONE 2015;10:e0141840. "
    "doi:10.1371/journal.pone.0141840",
    "latora2001": "Latora V, Marchiori M. Efficient behavior of small-world networks. Phys Rev "
    "Lett 2001;87:198701. doi:10.1103/PhysRevLett.87.198701",
    "lin1991": "Lin J. Divergence measures based on the Shannon entropy. IEEE Trans Inf Theory "
    "1991;37:145-151. doi:10.1109/18.61115",
    "newman2006": "Newman MEJ. Modularity and community structure in networks. Proc Natl Acad Sci "
    "USA 2006;103:8577-8582. doi:10.1073/pnas.0601602103",
    "nichols2017": "Nichols TE. Notes on creating a standardized version of DVARS. 2017. "
    "arXiv:1704.01469",
    "norgaard2022": "Norgaard M, Matheson GJ, Hansen HD, et al. PET-BIDS, an extension to the "
    "brain imaging data structure for positron emission tomography. Sci Data 2022;9:65. "
    "doi:10.1038/s41597-022-01164-1",
    "paszke2019": "Paszke A, Gross S, Massa F, et al. PyTorch: An imperative style, "
    "high-performance deep learning library. NeurIPS 2019;32:8024-8035.",
    "pedregosa2011": "Pedregosa F, Varoquaux G, Gramfort A, et al. Scikit-learn: Machine learning "
    "in Python. J Mach Learn Res 2011;12:2825-2830.",
    "power2012": "Power JD, Barnes KA, Snyder AZ, Schlaggar BL, Petersen SE. Spurious but "
    "systematic correlations in functional connectivity MRI networks arise from subject motion. "
    "NeuroImage 2012;59:2142-2154. doi:10.1016/j.neuroimage.2011.10.018",
    "rubinov2010": "Rubinov M, Sporns O. Complex network measures of brain connectivity: Uses and "
    "interpretations. NeuroImage 2010;52:1059-1069. doi:10.1016/j.neuroimage.2009.10.003",
    "satterthwaite2013": "Satterthwaite TD, Elliott MA, Gerraty RT, et al. An improved framework "
    "for confound regression and filtering for control of motion artifact in the preprocessing of "
    "resting-state functional connectivity data. NeuroImage 2013;64:240-256. "
    "doi:10.1016/j.neuroimage.2012.08.052",
    "schaefer2018": "Schaefer A, Kong R, Gordon EM, et al. Local-global parcellation of the human "
    "cerebral cortex from intrinsic functional connectivity MRI. Cereb Cortex 2018;28:3095-3114. "
    "doi:10.1093/cercor/bhx179",
    "tian2020": "Tian Y, Margulies DS, Breakspear M, Zalesky A. Topographic organization of the "
    "human subcortex unveiled with functional connectivity gradients. Nat Neurosci "
    "2020;23:1421-1432. doi:10.1038/s41593-020-00711-6",
    "tustison2010": "Tustison NJ, Avants BB, Cook PA, et al. N4ITK: Improved N3 bias correction. "
    "IEEE Trans Med Imaging 2010;29:1310-1320. doi:10.1109/TMI.2010.2046908",
    "tustison2021": "Tustison NJ, Cook PA, Holbrook AJ, et al. The ANTsX ecosystem for "
    "quantitative biological and medical imaging. Sci Rep 2021;11:9068. "
    "doi:10.1038/s41598-021-87564-6",
    "tzourio2002": "Tzourio-Mazoyer N, Landeau B, Papathanassiou D, et al. Automated anatomical "
    "labeling of activations in SPM using a macroscopic anatomical parcellation of the MNI MRI "
    "single-subject brain. NeuroImage 2002;15:273-289. doi:10.1006/nimg.2001.0978",
    "virtanen2020": "Virtanen P, Gommers R, Oliphant TE, et al. SciPy 1.0: Fundamental algorithms "
    "for scientific computing in Python. Nat Methods 2020;17:261-272. "
    "doi:10.1038/s41592-019-0686-2",
    "wang2016": "Wang H, Jin X, Zhang Y, Wang J. Single-subject morphological brain networks: "
    "connectivity mapping, topological characterization and test-retest reliability. Brain Behav "
    "2016;6:e00448. doi:10.1002/brb3.448",
    "yushkevich2016": "Yushkevich PA, Pluta J, Wang H, Wisse LEM, Das S, Wolk D. Fast automatic "
    "segmentation of hippocampal subfields and medial temporal lobe subregions in 3 Tesla and 7 "
    "Tesla T2-weighted MRI. Alzheimers Dement 2016;12(7S):P126-P127. "
    "doi:10.1016/j.jalz.2016.06.205",
    "zhang2001": "Zhang Y, Brady M, Smith S. Segmentation of brain MR images through a hidden "
    "Markov random field model and the expectation-maximization algorithm. IEEE Trans Med Imaging "
    "2001;20:45-57. doi:10.1109/42.906424",
}
"""Key to citation in words."""
