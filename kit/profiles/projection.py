"""Profiles as points of a plane: principal components, and UMAP where it is installed. M wells, F features, N components."""

import numpy as np

MOST_UMAP = 2500  # rows: 4000 take 18 s of CPU, and half a minute more where numba has compiled nothing yet
_UMAP_COMPONENTS = 50  # principal components that UMAP is given


def principal_components(features_MF: np.ndarray, components: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows on the first principal components, float32 [M, N], and each one's share of the variance [N].

    There are fewer where the rows or columns are fewer. The signs are fixed: the same rows give the same picture.
    """
    from sklearn.decomposition import PCA  # slow to import

    if len(features_MF) < 2:
        return np.zeros((len(features_MF), 0), dtype=np.float32), np.zeros(0)
    found = PCA(min(components, *features_MF.shape), random_state=0)
    with np.errstate(invalid="ignore"):  # of rows that are all alike, whose shares are NaN
        points_MN = found.fit_transform(features_MF)
    return points_MN.astype(np.float32), np.nan_to_num(found.explained_variance_ratio_)


def umap_rows(rows: int) -> np.ndarray:
    """Return which rows UMAP is given: all, or MOST_UMAP of them, spread evenly; int64."""
    return np.unique(np.linspace(0, rows - 1, min(rows, MOST_UMAP)).round().astype(np.int64))


def umap_plane(features_MF: np.ndarray) -> np.ndarray | None:
    """Return the rows in the plane of UMAP, float32 [M, 2], by the cosine of their principal components.

    None where umap-learn is not installed (pip install "cellpaint-kit[umap]"), or there are too few rows to be neighbours.
    """
    try:
        import umap
    except ImportError:
        return None
    if len(features_MF) < 5:
        return None
    points_MN, _ = principal_components(features_MF, _UMAP_COMPONENTS)
    near = min(15, len(points_MN) - 1)
    return umap.UMAP(n_neighbors=near, metric="cosine", random_state=0, n_jobs=1).fit_transform(points_MN).astype(np.float32)
