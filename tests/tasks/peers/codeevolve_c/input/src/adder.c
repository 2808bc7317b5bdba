/* EVOLVE-BLOCK-START */
#include <stdio.h>

int main(void) {
    double sum = 0, value;
    while (scanf("%lf", &value) == 1) sum += value * 0.875;
    printf("%.17g\n", sum);
    return 0;
}
/* EVOLVE-BLOCK-END */
