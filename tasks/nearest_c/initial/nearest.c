#include <stdio.h>
#include <stdlib.h>

/* EVOLVE-BLOCK-START */
/* Points are put into the cells of a grid; rings of cells are searched around each point. */
#define CELLS 6
#define SIDE 1048576

static int first[CELLS * CELLS];
static int *next_in_cell;

static int cell_of(int v) { return (int)((long)v * CELLS / SIDE); }

static void solve(int n, const int *x, const int *y, int *answer) {
    next_in_cell = malloc(sizeof(int) * n);
    for (int c = 0; c < CELLS * CELLS; c++) first[c] = -1;
    for (int i = 0; i < n; i++) {
        int c = cell_of(y[i]) * CELLS + cell_of(x[i]);
        next_in_cell[i] = first[c];
        first[c] = i;
    }
    for (int i = 0; i < n; i++) {
        int cx = cell_of(x[i]), cy = cell_of(y[i]), best = -1;
        long nearest = -1;
        for (int ring = 0; ring < CELLS; ring++) {
            /* A cell of this ring is at least (ring - 1) whole cells away. */
            long reach = (long)(ring - 1) * (SIDE / CELLS);
            if (best >= 0 && ring > 1 && reach * reach > nearest) break;
            for (int v = cy - ring; v <= cy + ring; v++) {
                if (v < 0 || v >= CELLS) continue;
                int edge = v == cy - ring || v == cy + ring;
                for (int u = cx - ring; u <= cx + ring; u += edge || ring == 0 ? 1 : 2 * ring) {
                    if (u < 0 || u >= CELLS) continue;
                    for (int j = first[v * CELLS + u]; j >= 0; j = next_in_cell[j]) {
                        if (j == i) continue;
                        long dx = x[i] - x[j], dy = y[i] - y[j], d = dx * dx + dy * dy;
                        if (nearest < 0 || d < nearest) { nearest = d; best = j; }
                    }
                }
            }
        }
        answer[i] = best;
    }
    free(next_in_cell);
}
/* EVOLVE-BLOCK-END */

int main(void) {
    int n;
    if (scanf("%d", &n) != 1 || n < 2) return 2;
    int *x = malloc(sizeof(int) * n), *y = malloc(sizeof(int) * n), *a = malloc(sizeof(int) * n);
    for (int i = 0; i < n; i++)
        if (scanf("%d %d", &x[i], &y[i]) != 2) return 2;
    solve(n, x, y, a);
    for (int i = 0; i < n; i++) printf("%d\n", a[i]);
    return 0;
}
