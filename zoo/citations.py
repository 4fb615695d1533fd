"""Whom to cite for a checkpoint, as BibTeX."""

from .published import Weights

PAPER = """\
@inproceedings{tran2018closer,
  title     = {A Closer Look at Spatiotemporal Convolutions for Action Recognition},
  author    = {Tran, Du and Wang, Heng and Torresani, Lorenzo and Ray, Jamie and LeCun, Yann and
               Paluri, Manohar},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {6450--6459},
  year      = {2018}
}"""
"""The paper that defines the networks, arXiv:1711.11248."""

# arXiv:1905.00561; its authors as arXiv and VMZ's README list them.
_IG65M = """\
@inproceedings{ghadiyaram2019large,
  title     = {Large-Scale Weakly-Supervised Pre-Training for Video Action Recognition},
  author    = {Ghadiyaram, Deepti and Feiszli, Matt and Tran, Du and Yan, Xueting and
               Wang, Heng and Mahajan, Dhruv},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {12046--12055},
  year      = {2019}
}"""

_KINETICS = """\
@article{kay2017kinetics,
  title   = {The Kinetics Human Action Video Dataset},
  author  = {Kay, Will and Carreira, Joao and Simonyan, Karen and Zhang, Brian and
             Hillier, Chloe and Vijayanarasimhan, Sudheendra and Viola, Fabio and Green, Tim and
             Back, Trevor and Natsev, Paul and Suleyman, Mustafa and Zisserman, Andrew},
  journal = {arXiv preprint arXiv:1705.06950},
  year    = {2017}
}"""

_SPORTS1M = """\
@inproceedings{karpathy2014large,
  title     = {Large-scale Video Classification with Convolutional Neural Networks},
  author    = {Karpathy, Andrej and Toderici, George and Shetty, Sanketh and Leung, Thomas and
               Sukthankar, Rahul and Fei-Fei, Li},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {1725--1732},
  year      = {2014}
}"""

_HMDB51 = """\
@inproceedings{kuehne2011hmdb,
  title     = {{HMDB}: A Large Video Database for Human Motion Recognition},
  author    = {Kuehne, Hildegard and Jhuang, Hueihan and Garrote, Estibaliz and
               Poggio, Tomaso and Serre, Thomas},
  booktitle = {International Conference on Computer Vision (ICCV)},
  pages     = {2556--2563},
  year      = {2011}
}"""

_GLUONCV = """\
@article{guo2020gluoncv,
  title   = {{GluonCV} and {GluonNLP}: Deep Learning in Computer Vision and Natural Language
             Processing},
  author  = {Guo, Jian and He, He and He, Tong and Lausen, Leonard and Li, Mu and Lin, Haibin and
             Shi, Xingjian and Wang, Chenguang and Xie, Junyuan and Zha, Sheng and Zhang, Aston and
             Zhang, Hang and Zhang, Zhi and Zhang, Zhongyue and Zheng, Shuai and Zhu, Yi},
  journal = {Journal of Machine Learning Research},
  volume  = {21},
  number  = {23},
  pages   = {1--7},
  year    = {2020}
}"""

# What a row's data sets, and whose file it is, add to the paper.
_CITED_FOR = {
    "IG-65M": _IG65M,
    "Kinetics-400": _KINETICS,
    "Sports-1M": _SPORTS1M,
    "HMDB51": _HMDB51,
    "gluoncv_v1": _GLUONCV,
    "gluoncv_v2": _GLUONCV,
}


def citations(row: Weights) -> list[str]:
    """BibTeX entries for a checkpoint: the paper, its data sets, and who else trained it."""
    reasons = (row.pretraining, row.dataset, row.naming)
    return [PAPER, *(_CITED_FOR[reason] for reason in reasons if reason in _CITED_FOR)]
