"""Which residues touch, and how buried they are."""

from __future__ import annotations

import numpy as np

from datasets.proteins.chain import Chain, c_beta

PROBE = 3.1  # Angstrom: radius of carbon, 1.7, and of water, 1.4; all atoms have this one, Voronota has one per element
SPHERE = 13.0  # Angstrom, of the half-sphere exposure


def distances(points: np.ndarray) -> np.ndarray:
    """Pairwise distances (..., n, n) of points (..., n, 3)."""
    return np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)


def near(chain: Chain, radius: float) -> np.ndarray:
    """(n, n): 1 - d_ij / radius for residues whose CA are nearer than `radius` (Angstrom), else 0; 0 on the diagonal."""
    weight = np.maximum(1.0 - distances(chain.backbone[:, 1]) / radius, 0.0)
    np.fill_diagonal(weight, 0.0)
    return weight


def areas(chain: Chain, reach: float = PROBE) -> np.ndarray:
    """(n, n) contact areas of residues in square Angstrom, symmetric, 0 on the diagonal.

    Two atoms touch where their Voronoi cells share a face within `reach` of both; the areas of such faces are summed over the atoms of
    two residues. Cells are those of equal balls (scipy), so that a face is a polygon, cut by a disc: both without an error but
    rounding, and the same after a rigid motion.
    """
    from scipy.spatial import Voronoi

    centre = chain.atoms.mean(0)
    p = chain.atoms - centre
    # sites far away bound every cell and reach no face: a face within `reach` of an atom has both its atoms within 2 reach
    far = (
        10.0
        * (np.abs(p).max() + 4.0 * reach)
        * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    )
    cells = Voronoi(np.concatenate([p, far]))
    pair = np.asarray(cells.ridge_points)
    keep = (pair < len(p)).all(1)
    a, b = p[pair[keep].T]
    close = np.linalg.norm(a - b, axis=1) < 2 * reach
    pair, a, b = pair[keep][close], a[close], b[close]
    faces = [cells.ridge_vertices[k] for k in np.flatnonzero(keep)[close]]
    area = _cut(cells.vertices, faces, a, b, reach)
    out = np.zeros((len(chain), len(chain)))
    i, j = chain.owner[pair.T]
    np.add.at(out, (i, j), area)
    out = out + out.T
    np.fill_diagonal(out, 0.0)
    return out


def _cut(vertices: np.ndarray, faces: list[list[int]], a: np.ndarray, b: np.ndarray, reach: float) -> np.ndarray:
    """Area of each face within the disc around the midpoint of a and b (F, 3) in which balls of radius `reach` intersect."""
    count = np.array([len(f) for f in faces], dtype=int)
    face = np.repeat(np.arange(len(faces)), count)
    start = np.concatenate([np.array(f) for f in faces]) if faces else np.zeros(0, int)
    stop = np.concatenate([np.roll(f, -1) for f in faces]) if faces else np.zeros(0, int)
    normal = b - a
    half = np.linalg.norm(normal, axis=1) / 2
    normal = normal / (2 * half[:, None])
    first = np.eye(3)[np.abs(normal).argmin(1)]
    u = np.cross(normal, first)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(normal, u)
    middle, radius = (a + b) / 2, np.sqrt(reach**2 - half**2)
    q = [np.stack([((vertices[k] - middle[face]) * w[face]).sum(1) for w in (u, v)], 1) for k in (start, stop)]
    signed = np.bincount(face, wedge(q[0], q[1], radius[face]), len(faces))
    return np.abs(signed)


def wedge(p: np.ndarray, q: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed area (E,) of the triangle (0, p, q) within the disc of `radius` about 0; p, q (E, 2).

    Summed over the edges of a polygon this is its area within the disc: where p + t (q - p) is inside the disc the triangle counts,
    elsewhere the sector.
    """

    def cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]

    def sector(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 0.5 * radius**2 * np.arctan2(cross(x, y), (x * y).sum(1))

    d = q - p
    dd, pd = np.maximum((d * d).sum(1), np.finfo(float).tiny), (p * d).sum(1)
    root = pd**2 - dd * ((p * p).sum(1) - radius**2)
    reach = np.sqrt(np.maximum(root, 0.0))
    t0, t1 = (np.clip((-pd + s * reach) / dd, 0.0, 1.0) for s in (-1, 1))
    x, y = p + t0[:, None] * d, p + t1[:, None] * d
    inside = sector(p, x) + 0.5 * cross(x, y) + sector(y, q)
    return np.where(root > 0, inside, sector(p, q))


def exposure(chain: Chain, radius: float) -> np.ndarray:
    """Three numbers for each residue, (n, 3): CA within `radius`, and within SPHERE on the side of C-beta and on the other one
    (half-sphere exposure up and down, Hamelryck 2005)."""
    ca = chain.backbone[:, 1]
    d = distances(ca)
    np.fill_diagonal(d, np.inf)
    up = np.einsum("ijk,ik->ij", ca[None] - ca[:, None], c_beta(chain.backbone) - ca) > 0
    within = d < SPHERE
    return np.stack([(d < radius).sum(1), (within & up).sum(1), (within & ~up).sum(1)], 1).astype(float)
